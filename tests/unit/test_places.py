"""Which runs and artifacts a registered version came from, and where they are later."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from openautoglm.config.project import Project
from openautoglm.kubeflow.running import _let_go
from openautoglm.steps.places import locate, remember
from openautoglm.steps.remembered import note, remembered

PARAMS = '{"model": {"name": "small"}}'
DIGEST = "sha256-" + "1" * 64
NAMES = ("prepared", "compressed", "evaluation")


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_text("")
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Project(root)


def run(project, number):
    folder = project.pipelines / f"training-2026-01-01-00-00-00-{number:06}"
    for name in NAMES:
        (folder / "task" / name).mkdir(parents=True)
    return folder


def artifacts(folder):
    return {name: SimpleNamespace(uri=str(folder / "task" / name)) for name in NAMES}


def uris(folder):
    return [one.uri for one in artifacts(folder).values()]


def receipt(tmp_path, registered):
    told = {"model_digest": DIGEST, "verdict": "pass", "reason": "because"}
    (tmp_path / "receipt.json").write_text(json.dumps(told | {"registered": registered}))
    return SimpleNamespace(path=str(tmp_path), metadata={})


def test_the_run_of_a_version_outlives_those_that_came_after(project):
    runs = [run(project, number) for number in range(8)]
    note(project, uris(runs[0]), "small version 1")
    _let_go(runs)
    assert [folder.exists() for folder in runs] == [True, False, False, *[True] * 5]


def test_of_two_runs_that_made_one_version_the_newer_is_kept(project):
    runs = [run(project, number) for number in range(3)]
    for folder in runs[:2]:
        note(project, uris(folder), "small version 1")
    note(project, uris(runs[2]), "small version 2")
    assert remembered(runs) == {runs[1], runs[2]}


def test_artifacts_elsewhere_are_somebody_elses_to_keep(project, tmp_path):
    folder = run(project, 1)
    note(project, ["s3://bucket/prepared", str(tmp_path / "elsewhere")], "small version 1")
    assert remembered([folder]) == set()


def test_after_a_failed_gate_there_is_nothing_to_note(project, tmp_path, capsys):
    remember(artifacts(run(project, 1)), receipt(tmp_path, registered=False), PARAMS)
    assert "nothing was registered: because" in capsys.readouterr().err
    assert not (project.root / "mlflow.db").exists()


def test_after_a_failed_gate_mlflow_is_not_even_imported(project, tmp_path):
    receipt(tmp_path, registered=False)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from types import SimpleNamespace as Artifact\n"
            "from openautoglm.steps.places import remember\n"
            f"remember({{}}, Artifact(path={str(tmp_path)!r}, metadata={{}}), {PARAMS!r})\n"
            "print('mlflow' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_a_receipt_that_is_not_there_is_bad_input(project, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        remember({}, SimpleNamespace(path=str(tmp_path / "nowhere"), metadata={}), PARAMS)
    assert ended.value.code == 2
    assert "there is no receipt that can be read" in capsys.readouterr().err


@pytest.fixture
def version(project):
    """A registered version, in a real store."""
    from openautoglm.registry.store import open_store
    from openautoglm.registry.versions import DIGEST as TAG

    client = open_store(project).client
    client.create_registered_model("small")
    client.create_model_version("small", "file:///nowhere", tags={TAG: DIGEST})


@pytest.mark.slow
@pytest.mark.usefixtures("version")
def test_what_was_remembered_is_located_also_after_the_project_was_moved(
    project, tmp_path, monkeypatch, capsys
):
    folder = run(project, 1)
    remember(artifacts(folder), receipt(tmp_path, registered=True), PARAMS)
    assert list(locate(PARAMS, "latest")) == uris(folder)
    assert remembered([folder]) == {folder}

    moved = tmp_path / "moved"
    shutil.move(project.root, moved)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(moved))
    there = moved / folder.relative_to(project.root)
    assert list(locate(PARAMS, "1")) == uris(there)

    shutil.rmtree(there)
    with pytest.raises(SystemExit) as ended:
        locate(PARAMS, "1")
    assert ended.value.code == 2
    assert f"{there / 'task' / 'prepared'} is gone" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("version")
def test_uris_of_an_object_store_are_located_as_they_were_noted(project, tmp_path):
    noted = {name: SimpleNamespace(uri=f"s3://bucket/{name}") for name in NAMES}
    remember(noted, receipt(tmp_path, registered=True), PARAMS)
    assert list(locate(PARAMS, "latest")) == [f"s3://bucket/{name}" for name in NAMES]
