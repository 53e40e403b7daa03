"""The options of `serve`: what is refused, and where the message says it is."""

from pathlib import Path

import pytest

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.cli.serve import serve
from openautoglm.config.overrides import load_with
from openautoglm.config.serving import Serving
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.serving.listen import Places

NO_VALUES = [
    "2001-99-99",
    "2001-01-01T00:00:00+99:99",
    "!!int x",
    "!!int ''",
    "!!bool x",
    "0x_",
    '"\\U00110000"',
    '"\\ud800"',
    '{"\\ud800": 1}',
    "{? [1]: 2}",
    "{2001-01-01: 2}",
    "&a [*a]",
    "&a {b: *a}",
    "9" * 5000,
    "0x" + "f" * 5000,
    "{0x" + "f" * 5000 + ": 1}",
    "[" * 100 + "]" * 100,
    "[" * 2000,
]
TOO_MUCH = {
    "batching.max_queue_rows": "1000001",
    "limits.body_bytes": "3000000000",
    "limits.header_bytes": "1048577",
    "limits.rows": "65537",
    "limits.text_characters": "10000001",
    "limits.connections": "3000000000",
    "limits.buffered_bytes": "100000000000",
    "limits.request_seconds": "86401",
    "limits.idle_seconds": "1e10",
    "drain_seconds": "1e10",
    "cache_entries": "10000001",
    "threads": "100000",
}
SECONDS = ("limits.request_seconds", "limits.idle_seconds", "drain_seconds")


def shortened(value):
    return value[:20]


def message(*assigned, file=None):
    with pytest.raises(ConfigError) as caught:
        load_with(file, assigned, Serving)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 500
    return str(caught.value)


@pytest.fixture
def settings(tmp_path):
    def write(text):
        path = tmp_path / "serving.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_later_assignments_win_over_earlier_ones_and_over_the_file(settings):
    file = settings("limits: {rows: 7, depth: 9}\n")
    found = load_with(file, ("limits.rows=8", "limits.rows=9"), Serving)
    assert (found.limits.rows, found.limits.depth) == (9, 9)


@pytest.mark.parametrize("value", NO_VALUES, ids=shortened)
def test_an_assignment_that_is_no_value_is_named(value):
    assert "--set traces.ratio" in message(f"traces.ratio={value}")


@pytest.mark.parametrize("value", NO_VALUES, ids=shortened)
def test_a_file_with_what_is_no_value_is_named(settings, value):
    assert "serving.yaml" in message(file=settings(f"threads: 1\ntraces:\n  ratio: {value}\n"))


@pytest.mark.parametrize("value", ["2001-99-99", "!!int x", "!!bool x", "&a [*a]", "9" * 5000])
def test_a_value_that_cannot_be_had_names_its_line(settings, value):
    assert "serving.yaml:3" in message(file=settings(f"threads: 1\ntraces:\n  ratio: {value}\n"))


def test_an_assignment_is_blamed_where_the_file_is_good(settings):
    said = message("traces.ratio=&a [*a]", file=settings("traces:\n  ratio: 0.5\n"))
    assert "--set traces.ratio" in said
    assert "serving.yaml" not in said


def test_a_folder_is_no_settings_file(tmp_path):
    said = message(file=tmp_path)
    assert "found a folder" in said
    assert str(tmp_path) in said


def test_a_file_that_may_not_be_read_says_so(settings, monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    file = settings("threads: 1\n")
    monkeypatch.setattr(Path, "read_text", refuse)
    said = message(file=file)
    assert "Permission denied" in said
    assert "serving.yaml" in said


def test_a_file_below_a_file_is_refused(settings):
    assert "Not a directory" in message(file=settings("threads: 1\n") / "more.yaml")


@pytest.mark.parametrize(("key", "value"), TOO_MUCH.items())
def test_a_number_beyond_its_bound_is_refused(key, value):
    said = message(f"{key}={value}")
    assert f"--set {key}" in said
    assert " or less" in said


@pytest.mark.parametrize("key", [*SECONDS, "traces.ratio"])
@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf"])
def test_a_number_without_an_end_is_refused(key, value):
    assert f"--set {key}" in message(f"{key}={value}")


def test_a_body_for_which_there_is_never_room_is_refused():
    said = message("limits.body_bytes=2097152", "limits.buffered_bytes=1048576")
    assert "`body_bytes` (2097152) is more than `buffered_bytes` (1048576)" in said
    assert "--set limits.body_bytes" in said


def test_a_buffer_lowered_under_the_default_body_names_its_line(settings):
    said = message("limits.body_bytes=2000000", file=settings("limits:\n  buffered_bytes: 1048576"))
    assert "--set limits.body_bytes" in said
    said = message(
        file=settings("limits:\n  rows: 1\n  buffered_bytes: 1048576\n  body_bytes: 9999999")
    )
    assert "serving.yaml:4, key limits.body_bytes" in said


@pytest.fixture
def folder(tmp_path):
    """What looks like a model until its payload is opened."""
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "a").write_text("a", encoding="utf-8")
    nothing = {key: {} for key in ("inputs", "params", "lineage", "history", "environment")}
    digest = folder_digest(tmp_path / "payload")
    write_manifest(
        tmp_path, Manifest(step="compress", digest=digest, code="", seconds=0, **nothing)
    )
    return tmp_path


def refusal(folder, digest, *, error=ConfigError, grpc_port=0):
    with pytest.raises(error) as caught:
        serve(
            folder,
            digest=digest,
            name="model",
            version=None,
            family=None,
            variant=None,
            places=Places("127.0.0.1", grpc_port, grpc_port, reuse_port=False),
            settings_file=None,
            assigned=(),
        )
    return str(caught.value)


@pytest.mark.parametrize("digest", ["", "sha256-", "0" * 64, f"sha256-{'G' * 64}", "sha256-12"])
def test_a_digest_of_another_form_is_refused_and_the_models_own_is_told(folder, digest):
    said = refusal(folder, digest)
    assert f"found `{digest}`" in said
    assert "--digest" in said
    assert folder_digest(folder / "payload") in said


def test_a_digest_of_another_form_is_refused_without_a_manifest_too(tmp_path):
    said = refusal(tmp_path, "")
    assert "--digest" in said
    assert "this model's" not in said


def test_the_digest_of_another_model_is_refused(folder):
    wrong = f"sha256-{'0' * 64}"
    assert wrong in refusal(folder, wrong, error=ArtifactError)


def test_one_port_for_http_and_grpc_is_refused_before_the_model_is_read(tmp_path):
    assert "--grpc-port" in refusal(tmp_path / "none", None, grpc_port=9001)
