"""What every component does around a step."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.params import TuneParams
from openautoglm.errors import ConfigError, StepError
from openautoglm.steps.component import Failure, checked, entry, failure_of, run
from openautoglm.steps.orphan import calling
from openautoglm.steps.plan import plan

ROWS = "text,label\n" + "".join(f"row {n} of {n % 2},{'ab'[n % 2]}\n" for n in range(80))
PARAMS = """
data: {source: {kind: file, path: rows.csv}}
model: {name: small, families: [glm]}
"""


@dataclass
class Artifact:
    path: str
    metadata: dict = field(default_factory=dict)


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "a project"
    root.mkdir()
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "rows.csv").write_text(ROWS)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(root))
    return root


@pytest.fixture
def views():
    fetch, prepare, *_ = plan(PARAMS)
    return {"fetch": fetch, "prepare": prepare}


@pytest.fixture
def raw(project, views, tmp_path):
    artifact = Artifact(str(tmp_path / "run" / "raw"))
    run("fetch", {}, views["fetch"], artifact)
    return artifact


def child(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_artifact_is_told_the_step_and_the_digest(raw):
    assert raw.metadata == {"step": "fetch", "digest": read_manifest(Path(raw.path)).digest}


def test_what_was_made_from_the_same_is_made_once(raw, views, tmp_path, capsys):
    first, second = (Artifact(str(tmp_path / name / "prepared")) for name in "ab")
    run("prepare", {"raw": raw}, views["prepare"], first)
    assert "made before from the same" not in capsys.readouterr().err
    run("prepare", {"raw": raw}, views["prepare"], second)
    assert "made before from the same" in capsys.readouterr().err
    assert second.metadata == first.metadata


def test_a_step_without_inputs_is_asked_each_time(raw, views, tmp_path, project):
    (project / "rows.csv").write_text(ROWS + "one more,a\n")
    again = Artifact(str(tmp_path / "again" / "raw"))
    run("fetch", {}, views["fetch"], again)
    assert again.metadata["digest"] != raw.metadata["digest"]


def test_a_cached_component_does_not_import_its_step(raw, views, tmp_path):
    run("prepare", {"raw": raw}, views["prepare"], Artifact(str(tmp_path / "first" / "prepared")))
    done = child(
        "import sys\n"
        "from types import SimpleNamespace as Artifact\n"
        "from openautoglm.steps.component import run\n"
        f"raw = Artifact(path={raw.path!r}, metadata={{}})\n"
        f"out = Artifact(path={str(tmp_path / 'second' / 'prepared')!r}, metadata={{}})\n"
        f"run('prepare', {{'raw': raw}}, {views['prepare']!r}, out)\n"
        "print([name for name in ('numpy', 'pandas', 'pyarrow') if name in sys.modules])\n"
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert "made before from the same" in done.stderr


@pytest.mark.parametrize("module", ["component", "plan", "parts", "shown", "places"])
def test_what_a_component_imports_first_has_no_heavy_library(module):
    heavy = ("torch", "transformers", "mlflow", "numpy", "pandas", "optuna", "onnxruntime", "kfp")
    done = child(
        f"import sys, openautoglm.steps.{module}\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_other_code_than_the_pipeline_was_compiled_with_is_refused(raw, views, monkeypatch, capsys):
    monkeypatch.setenv("OPENAUTOGLM_CODE", "sha256-" + "0" * 64)
    with pytest.raises(SystemExit) as ended:
        run("fetch", {}, views["fetch"], raw)
    assert ended.value.code == 2
    assert "other code than the pipeline was compiled with" in capsys.readouterr().err


def test_a_component_that_knows_no_project_says_which_variable(monkeypatch, views, capsys):
    monkeypatch.delenv("OPENAUTOGLM_PROJECT", raising=False)
    with pytest.raises(SystemExit):
        run("fetch", {}, views["fetch"], Artifact("nowhere"))
    assert "environment variable OPENAUTOGLM_PROJECT" in capsys.readouterr().err


def test_an_error_leaves_no_output_and_nothing_to_be_found_later(raw, views, tmp_path, project):
    bad = views["prepare"].replace('"label":"label"', '"label":"class"')
    out = Artifact(str(tmp_path / "bad" / "prepared"))
    with pytest.raises(SystemExit):
        run("prepare", {"raw": raw}, bad, out)
    assert not list((tmp_path / "bad").iterdir())
    assert not (project / ".openautoglm" / "finished" / "prepare").exists()


def test_the_caller_on_this_machine_is_told_the_step_and_its_error(
    raw, views, tmp_path, monkeypatch
):
    place = tmp_path / "failure.json"
    monkeypatch.setenv("OPENAUTOGLM_FAILURE", str(place))
    bad = views["prepare"].replace('"label":"label"', '"label":"class"')
    with pytest.raises(SystemExit):
        run("prepare", {"raw": raw}, bad, Artifact(str(tmp_path / "bad" / "prepared")))
    told = failure_of(str(place))
    assert told.exit_code == 2
    assert told.text.startswith("prepare: ")


def test_nothing_was_told_by_a_component_that_ended_well(tmp_path):
    assert failure_of(str(tmp_path / "failure.json")) is None


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigError("no such key"), 2, "error: no such key"),
        (StepError("it broke"), 1, "fault: it broke"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/file"), 2, "error: no space left"),
    ],
)
def test_an_error_becomes_a_sentence_and_an_exit_code(error, code, told, capsys):
    @entry
    def body():
        raise error

    with pytest.raises(SystemExit) as ended:
        body()
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(told)


def test_an_error_is_told_where_the_disk_takes_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAUTOGLM_FAILURE", str(tmp_path / "gone" / "failure.json"))

    @entry
    def body():
        raise ConfigError("no such key")

    with pytest.raises(SystemExit) as ended:
        body()
    assert ended.value.code == 2


def test_a_fault_of_ours_keeps_its_traceback():
    @entry
    def body():
        raise KeyError("lost")

    with pytest.raises(KeyError):
        body()


def test_parameters_of_other_code_are_refused_by_their_key():
    with pytest.raises(ConfigError) as refused:
        checked(TuneParams, json.dumps({"tune": {"roundz": 1}}), "tune")
    assert "component tune, params, key tune.roundz" in str(refused.value)


def test_a_failure_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "failure.json"
    file.write_text('{"exit_code": 1, "text": "train: it broke"}')
    assert failure_of(str(file)) == Failure(1, "train: it broke")


WAITS = "from openautoglm.steps.orphan import end_with_caller\nend_with_caller()\ninput()\n"


def test_a_component_whose_caller_was_killed_before_it_began_ends_at_once(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    # Meanwhile the lock is the next caller's.
    with calling(tmp_path / "lock") as known:
        (name,) = known
        done = child(WAITS, **{name: f"{gone.pid} {tmp_path / 'lock'}"})
    assert done.returncode == -signal.SIGKILL


def test_a_component_ends_with_its_caller_and_not_before(tmp_path):
    with calling(tmp_path / "lock") as known:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITS.replace("input()", "print('ready', flush=True); input()")],
            env=os.environ | known,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline() == b"ready\n"
        assert process.poll() is None
    with process:
        assert process.wait(120) == -signal.SIGKILL


def test_a_component_on_a_cluster_has_no_caller():
    done = child(WAITS.replace("input()", "print('went on')"))
    assert done.stdout == "went on\n"
