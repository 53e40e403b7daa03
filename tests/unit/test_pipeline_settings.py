"""`pipelines/settings.yaml`: what a task asks of the cluster."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.quantities import cores, memory
from openautoglm.config.yaml import load
from openautoglm.errors import ConfigError

ROOT = Path(__file__).parents[2]
PIN = f"registry/name@sha256:{'a' * 64}"


def settings(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, PipelineSettings)


def test_the_projects_own_file_is_valid_and_names_known_components():
    found = load(ROOT / "pipelines" / "settings.yaml", PipelineSettings)
    known = {file.stem for file in (ROOT / "components").glob("*.py")}
    assert set(found.tasks) <= known


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image: name:latest\n", "not pinned"),
        (f"image: name@sha256:{'a' * 63}\n", "not pinned"),
        ("imag: x\n", "did you mean `image`"),
        ('default: {cpu: "4", cpu_limit: "2"}\n', "more than `cpu_limit`"),
        ("default: {memory: 2Gi, memory_limit: 2G}\n", "more than `memory_limit`"),
        ("default: {cpu: four}\n", "cpu"),
        ("default: {memory: 2 GB}\n", "memory"),
        ("tasks: {train: {gpu: 1}}\n", "unknown key `gpu`"),
        ("retries: {count: 11}\n", "retries.count"),
        ("fan_out: {tune: 0}\n", "fan_out.tune"),
        ("volumes: [{claim: a, path: work}]\n", "volumes.0.path"),
        ("volumes: [{claim: a, path: /w}, {claim: b, path: /w}]\n", "one `path`"),
        ("secrets: [{name: a, variables: {}}]\n", "secrets.0.variables"),
        ("secrets: [{name: A_b, variables: {k: V}}]\n", "secrets.0.name"),
        ("environment: {V: x}\nsecrets: [{name: a, variables: {k: V}}]\n", "V is set twice"),
        ("default: {tolerations: [{key: a, operator: Equal}]}\n", "`value` belongs to"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, told):
    with pytest.raises(ConfigError) as error:
        settings(tmp_path, text)
    assert told in str(error.value)
    assert "settings.yaml:" in str(error.value)


def test_a_task_takes_from_the_default_what_it_does_not_say(tmp_path):
    found = settings(
        tmp_path,
        f"image: {PIN}\n"
        "default: {cpu: 500m, memory: 1Gi, node_selector: {pool: cpu}}\n"
        "tasks: {train: {memory: 4Gi, accelerator: {resource: nvidia.com/gpu}}}\n",
    )
    train = found.place("train")
    assert (train.cpu, train.memory) == ("500m", "4Gi")
    assert train.node_selector == {"pool": "cpu"}
    assert train.accelerator.count == 1
    assert found.place("fetch").accelerator is None


def test_a_task_that_asks_more_than_the_defaults_limit_is_refused(tmp_path):
    text = "default: {memory_limit: 2Gi}\ntasks: {train: {memory: 4Gi}}\n"
    with pytest.raises(ConfigError, match=r"tasks\.train"):
        settings(tmp_path, text)


@given(st.integers(1, 10**6))
def test_quantities_are_read_as_kubernetes_reads_them(n):
    assert memory(f"{n}Ki") == 1024 * n
    assert memory(f"{n}M") == 10**6 * n
    assert memory(str(n)) == n
    assert cores(f"{n}m") == pytest.approx(n / 1000)
