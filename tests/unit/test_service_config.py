"""config.yaml: what is taken, what is refused, and what the message tells."""

import io
import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from openautoglm.config.service import Service, key_line
from openautoglm.config.yaml import load
from openautoglm.errors import ConfigError
from tests.support.keys import dotted, every_key, mutated, replaced, whole

ROOT = Path(__file__).parents[2]
KEYS = list(every_key())
NEWS = """\
model: bert-base-chinese
quantization: int8
replicas: 3
autoscale:
  cpu_threshold: 70%
  min_replicas: 2
  max_replicas: 10
pipeline:
  - task: text-classification
    labels: [科技, 体育, 娱乐]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def message(path):
    with pytest.raises(ConfigError) as caught:
        load(path, Service)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_example_is_the_documented_file_byte_for_byte():
    assert (ROOT / "examples" / "news.yaml").read_bytes() == NEWS.encode()


def test_the_example_is_read():
    found = load(ROOT / "examples" / "news.yaml", Service)
    assert found.autoscale.cpu_threshold == 70.0
    assert found.pipeline[0].labels == ("科技", "体育", "娱乐")
    assert found.name is None


def test_the_project_s_own_file_serves_the_built_in_model():
    found = load(ROOT / "config.yaml", Service)
    assert (found.name, found.model) == ("clc", "models:/clc@champion")
    assert found.quantization == "auto"
    assert found.pipeline[0].labels is None


@pytest.mark.parametrize("percent", ["70%", "70 %", "0.5%", "33.333333333%", "0.00001%", "95%"])
def test_what_was_stored_is_what_was_read(write, percent):
    found = load(write(NEWS.replace("70%", percent)), Service)
    assert Service.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("given", ["70", "0.7", "70.0"])
def test_a_percentage_needs_its_sign(write, given):
    text = message(write(NEWS.replace("70%", given)))
    assert f"found {given}" in text
    assert "write 70%" in text
    assert "config.yaml:5, key autoscale.cpu_threshold" in text


@pytest.mark.parametrize("given", ["high", "-5%", "true", "700", '""'])
def test_what_is_no_percentage_is_told_what_one_is(write, given):
    assert "70%" in message(write(NEWS.replace("70%", given)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0%", "found 0%, allowed: above 0%"),
        ("100.1%", "found 100.1%, allowed: above 0% and at most 100%"),
        ("96%", "found 96%, allowed: above 0% and at most 95%"),
        ("9" * 400 + "%", "found 9999"),
        ("", "found nothing, which is no percentage such as 70%"),
    ],
)
def test_a_percentage_has_bounds_in_percent(write, given, said):
    told = message(write(NEWS.replace("70%", given)))
    assert said in told
    assert "config.yaml:5, key autoscale.cpu_threshold" in told


def test_a_mistyped_key_is_told_the_nearest_one(write):
    text = message(write(NEWS.replace("min_replicas", "min_replica")))
    assert "config.yaml:6, key autoscale.min_replica" in text
    assert "did you mean `min_replicas`?" in text


@pytest.mark.parametrize(
    ("section", "where", "said"),
    [
        ("replicas: 1\n" + NEWS.partition("replicas: 3\n")[2], "key replicas", "not between"),
        (NEWS.replace("max_replicas: 10", "max_replicas: 1"), "key autoscale", "is more than"),
        (NEWS.replace("max_replicas: 10", "max_replicas: 2"), "key autoscale", "nothing can be"),
        ("gateway: {retries: {attempts: 0, budget_floor: 9}}", "key gateway.retries", "attempts"),
        ("gateway: {retries: {attempts: 0, budget_percent: 9%}}", "key gateway.retries", "no mean"),
        ("gateway: {ejection: {consecutive_failures: 0, seconds: 9}}", "gateway.ejection", "no me"),
        ("gateway: {host: localhost}", "key gateway.host", "127.0.0.1"),
        ("gateway: {limits: {header_bytes: 1500}}", "gateway.limits.header_bytes", "1024"),
        ("gateway: {breakers: {connections: 1024}}", "key gateway.breakers.connections", "960 or"),
        ("serving: {limits: {connections: 2}}", "key serving.limits.connections", ": 576"),
        ("gateway: {limits: {header_bytes: 16384}}", "key gateway.limits.header_bytes", "17408"),
        ("serving: {limits: {header_bytes: 9000}}", "key serving.limits.header_bytes", "7168 or"),
        *(
            (f"gateway: {{processes: 3, {section}: {{{name}: 2}}}}", f"{section}.{name}", "3 or")
            for section, name in (
                *(("limits", name) for name in ("requests_per_second", "connections")),
                *(("breakers", name) for name in ("requests", "pending", "connections")),
            )
        ),
        ("pipeline: [{labels: [a, b, a]}]", "key pipeline.0.labels", "twice"),
        ("pipeline: [{}, {}]", "key pipeline", "1 or fewer"),
        ("name: Big Model", "key name", "Big Model"),
    ],
)
def test_what_could_not_matter_or_contradicts_itself_is_refused(write, section, where, said):
    model = "" if "model:" in section else "model: small\n"
    text = message(write(model + section))
    assert where in text
    assert said in text
    assert "config.yaml:" in text


def test_a_first_count_nobody_gave_is_not_blamed_on_a_missing_key(write):
    text = message(
        write(NEWS.replace("replicas: 3\n", "", 1).replace("min_replicas: 2", "min_replicas: 3"))
    )
    assert "config.yaml:3, key autoscale" in text
    assert "without `replicas`" in text


def test_a_key_that_was_left_out_is_placed_at_the_first_line(write):
    path = write(NEWS)
    assert key_line(path, "replicas") == f"{path}:3, key replicas"
    assert key_line(path, "name") == f"{path}:1, key name"


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_every_key_can_be_set_to_something_else(path):
    assert mutated(path) != Service.model_validate_json(json.dumps(whole()))


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_a_wrong_value_of_any_key_names_file_line_and_key(write, path):
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(replaced(whole(), path, {"wrong": 1}), stream)
    lines = stream.getvalue().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "wrong: 1" in text)
    said = message(write(stream.getvalue()))
    found = f"key {dotted(path)}"
    assert found in said
    assert any(f"config.yaml:{n}, {found}" in said for n in (line - 1, line))
