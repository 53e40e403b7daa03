"""`openautoglm parity`: three callers come to the same, and where they do not it is told."""

import json
import re
import shutil

import pytest

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.cli import parity as module
from openautoglm.errors import ArtifactError
from openautoglm.kubeflow.parity.callers import CALLERS
from openautoglm.kubeflow.parity.compared import compared
from openautoglm.steps.catalog import STEPS
from tests.support.command import command
from tests.support.project import PURE, Small

pytestmark = pytest.mark.xdist_group("parity")
METRICS = {"candidate": {"macro_f1": 0.8}, "rows": 10}


def sealed(folder):
    """Write the manifest of a folder for the payload as it is."""
    found = Manifest(
        step=folder.name,
        digest=folder_digest(folder / "payload"),
        inputs={},
        params={},
        code="",
        lineage={},
        history={},
        environment={},
        seconds=0.0,
    )
    write_manifest(folder, found)


@pytest.fixture
def outputs(tmp_path):
    """What three callers might have written: the same, byte for byte."""
    start = tmp_path / "start"
    for name, step in STEPS.items():
        folder = start / name
        (folder / "payload").mkdir(parents=True)
        if step.effect:
            receipt = {"model_digest": "sha256-m", "verdict": "pass", "reason": "by hand"}
            (folder / "receipt.json").write_text(json.dumps(receipt), encoding="utf-8")
            continue
        (folder / "payload" / "rows.csv").write_text(name, encoding="utf-8")
        if name == "evaluate":
            (folder / "payload" / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
        sealed(folder)
    for caller in CALLERS:
        shutil.copytree(start, tmp_path / caller)
    return {caller: {name: tmp_path / caller / name for name in STEPS} for caller in CALLERS}


def differing(outputs):
    return {row.name: row.differing for row in compared(outputs) if not row.equal}


def test_equal_bytes_are_equal(outputs):
    assert differing(outputs) == {}
    assert {*PURE, "evaluate: metrics", "register: receipt", "canary: receipt"} == {
        row.name for row in compared(outputs)
    }


def test_one_other_byte_of_one_caller_is_found_with_its_file(outputs):
    folder = outputs["kubeflow"]["train"]
    (folder / "payload" / "rows.csv").write_text("else", encoding="utf-8")
    sealed(folder)
    assert differing(outputs) == {"train": ("rows.csv",)}


def test_a_file_that_only_one_caller_wrote_is_found(outputs):
    folder = outputs["dvc"]["prepare"]
    (folder / "payload" / "more.csv").write_text("", encoding="utf-8")
    sealed(folder)
    assert differing(outputs) == {"prepare": ("more.csv",)}


def test_another_receipt_is_found(outputs):
    file = outputs["direct"]["canary"] / "receipt.json"
    file.write_text(file.read_text().replace("pass", "fail"), encoding="utf-8")
    assert differing(outputs) == {"canary: receipt": ()}


def test_another_metric_is_found_as_metric_and_as_file(outputs):
    folder = outputs["dvc"]["evaluate"]
    file = folder / "payload" / "metrics.json"
    file.write_text(file.read_text().replace("0.8", "0.8000000001"), encoding="utf-8")
    sealed(folder)
    assert differing(outputs) == {"evaluate": ("metrics.json",), "evaluate: metrics": ()}


def test_a_payload_that_is_not_what_its_manifest_says_is_no_output(outputs):
    (outputs["dvc"]["prepare"] / "payload" / "rows.csv").write_text("else", encoding="utf-8")
    with pytest.raises(ArtifactError, match="was changed after it was made"):
        compared(outputs)


def test_a_difference_is_exit_code_1_and_named(project, outputs, monkeypatch):
    folder = outputs["kubeflow"]["train"]
    (folder / "payload" / "rows.csv").write_text("else", encoding="utf-8")
    sealed(folder)
    monkeypatch.setattr(module, "called", lambda name, _: outputs[name])
    said = command(project.root, "parity", code=1).stdout
    assert "differs: train payload/rows.csv" in said
    assert f"1 of {len(compared(outputs))} differ" in said
    assert "are equal" not in said


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Its pipelines share tune and compress between two tasks each; the other callers do not."""
    made = Small(tmp_path_factory.mktemp("parity") / "project", count=900)
    made.add_pipelines(fan_out={"tune": 2, "compress": 2})
    return made


def test_a_folder_to_keep_must_be_new(project):
    assert "a new folder" in command(project.root, "parity", "--keep", "data", code=2).stderr


@pytest.mark.slow
def test_three_callers_come_to_the_same_also_where_tasks_share_a_step(project, tmp_path):
    done = project.run("openautoglm", "parity", "--keep", str(tmp_path / "kept"))
    (count,) = re.findall(r"all (\d+) are equal: digests, metrics and receipts", done.stdout)
    assert int(count) == len(PURE) + len(("metrics", "register", "canary"))
    assert "differs" not in done.stdout
    for part in ("tune-part", "compress-part"):
        ran = list((tmp_path / "kept" / "kubeflow").rglob(f"{part}*/executor_output.json"))
        assert len(ran) == 2, f"{part} was not shared"
    trials = (tmp_path / "kept" / "direct" / "models/tuned/payload/trials.csv").read_text("utf-8")
    assert len(trials.splitlines()) > 2, "there was nothing to share"
    # Nothing of the project itself has changed.
    assert not (project.root / "mlflow.db").exists()
    assert project.run("git", "status", "--porcelain").stdout.split() == [
        *("??", "components/", "??", "pipelines/")
    ]
