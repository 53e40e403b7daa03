"""Copies of a project for three callers, and what they wrote side by side."""

import os

import pytest
from ruamel.yaml import YAML

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.kubeflow.parity.callers import CALLERS, _own_stores
from openautoglm.kubeflow.parity.compared import compared
from openautoglm.kubeflow.parity.projects import copied
from openautoglm.steps.catalog import STEPS


def made(folder, step, files):
    for name, text in files.items():
        (folder / "payload" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "payload" / name).write_text(text)
    described(folder, step)
    return folder


def described(folder, step):
    digest = folder_digest(folder / "payload")
    empty = {key: {} for key in ("inputs", "params", "lineage", "history", "environment")}
    write_manifest(folder, Manifest(step=step, digest=digest, code="c", seconds=0, **empty))


@pytest.fixture
def outputs(tmp_path):
    """What three callers wrote that did the same."""
    found = {}
    for caller in CALLERS:
        places = {name: tmp_path / caller / step.out for name, step in STEPS.items()}
        for name, step in STEPS.items():
            if step.effect:
                places[name].mkdir(parents=True)
                (places[name] / "receipt.json").write_text('{"verdict": "pass"}')
            else:
                made(places[name], name, {"metrics.json": "{}", "rows/train.csv": name})
        found[caller] = places
    return found


def differing(outputs):
    return {row.name: row.differing for row in compared(outputs) if not row.equal}


def test_what_is_the_same_is_equal(outputs):
    assert differing(outputs) == {}
    assert {row.name for row in compared(outputs)} >= {"fetch", "evaluate: metrics"}


@pytest.mark.parametrize("caller", CALLERS)
def test_another_payload_differs_and_its_file_is_named(outputs, caller):
    folder = outputs[caller]["train"]
    (folder / "payload" / "rows" / "train.csv").write_text("other")
    described(folder, "train")
    assert differing(outputs) == {"train": ("rows/train.csv",)}


def test_a_file_that_one_caller_alone_wrote_is_named(outputs):
    made(outputs["dvc"]["train"], "train", {"more.txt": "more"})
    assert differing(outputs) == {"train": ("more.txt",)}


def test_other_metrics_differ(outputs):
    made(outputs["kubeflow"]["evaluate"], "evaluate", {"metrics.json": '{"f1": 1}'})
    assert set(differing(outputs)) == {"evaluate", "evaluate: metrics"}


def test_another_receipt_differs(outputs):
    (outputs["direct"]["canary"] / "receipt.json").write_text('{"verdict": "fail"}')
    assert set(differing(outputs)) == {"canary: receipt"}


def test_a_payload_that_is_not_what_its_manifest_says_is_no_result(outputs):
    (outputs["dvc"]["train"] / "payload" / "metrics.json").write_text("changed")
    with pytest.raises(ArtifactError):
        compared(outputs)


def test_what_one_caller_has_not_run_is_not_compared(outputs):
    del outputs["kubeflow"]["canary"]
    assert "canary: receipt" not in {row.name for row in compared(outputs)}


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    for name in ("data/source/rows.csv", "mine/rows.csv", "mine/base/config.json", "src/a.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "dvc.yaml").write_text("stages: {}\n")
    return Project(root)


def copy_of(project, source, test=None, **model):
    data = {"source": source, "test": test}
    model = {"name": "small", **model}
    with project.params_file.open("w", encoding="utf-8") as stream:
        YAML().dump({"data": data, "model": model}, stream)
    found = copied(project, project.root.parent / "copy")
    return found, YAML(typ="safe").load(found.params_file)


def test_a_copy_has_the_files_and_none_of_the_results(project):
    (project.root / "models").mkdir()
    (project.root / "mlflow.db").touch()
    found, _ = copy_of(project, {"kind": "file", "path": "data/source/rows.csv"})
    names = sorted(path.name for path in found.root.iterdir())
    assert names == ["data", "dvc.yaml", "params.yaml", "src"]


def test_rows_that_were_copied_are_read_in_the_copy(project):
    _, params = copy_of(project, {"kind": "file", "path": "data/source/rows.csv"})
    assert params["data"]["source"]["path"] == "data/source/rows.csv"


def test_rows_that_lie_elsewhere_are_read_there(project):
    _, params = copy_of(project, {"kind": "file", "path": "mine/rows.csv"}, test="mine/rows.csv")
    there = str(project.root / "mine" / "rows.csv")
    assert (params["data"]["source"]["path"], params["data"]["test"]) == (there, there)


def test_a_relative_repository_stays_the_same_one(project):
    source = {"kind": "dvc", "repo": ".", "path": "mine/rows.csv"}
    _, params = copy_of(project, source)
    assert params["data"]["source"] == source | {"repo": str(project.root)}


def test_a_base_model_of_the_project_stays_the_same_one(project):
    source = {"kind": "package", "package": "p", "file": "f.csv"}
    _, params = copy_of(project, source, base="mine/base")
    assert params["model"]["base"] == str(project.root / "mine" / "base")


def test_a_name_on_the_hub_is_left_alone(project):
    source = {"kind": "huggingface", "path": "owner/rows"}
    _, params = copy_of(project, source, base="owner/model")
    assert params["data"]["source"]["path"] == "owner/rows"
    assert params["model"]["base"] == "owner/model"


def test_a_copy_of_a_copy_leads_to_the_same_rows(project):
    found, params = copy_of(project, {"kind": "file", "path": "mine/rows.csv"})
    again = copied(found, project.root.parent / "again")
    assert YAML(typ="safe").load(again.params_file) == params


def test_a_project_whose_parameters_are_wrong_is_not_copied(project):
    project.params_file.write_text("data: {}\n")
    with pytest.raises(ConfigError):
        copied(project, project.root.parent / "copy")
    assert not (project.root.parent / "copy").exists()


@pytest.mark.parametrize(
    "name", ["MLFLOW_TRACKING_URI", "OPENAUTOGLM_STUDY", "OPENAUTOGLM_NOTIFY_URL"]
)
def test_callers_do_not_see_the_stores_of_this_shell_and_tell_nobody(name, monkeypatch):
    monkeypatch.setenv(name, "https://host/store")
    with _own_stores():
        assert name not in os.environ
    assert os.environ[name] == "https://host/store"
