"""Parts fanned out and collected by Kubeflow's own local runner."""

import re
from pathlib import Path

import pytest
from kfp import dsl, local

from components.compress import compress
from components.compress_part import compress_part
from components.tune import tune
from components.tune_part import tune_part
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.params import Params, view
from openautoglm.config.yaml import load
from openautoglm.steps.catalog import STEPS
from tests.support.command import command
from tests.support.project import Small

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:You may be attemping")]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    small = Small(tmp_path_factory.mktemp("parts") / "project", count=300)
    small.change(
        compress={"recipes": ["fp32", "int8", "distilled"], "search": {"rounds": 0}, "prune": ...}
    )
    small.change(compress={"search": {"distilled": ...}})
    for name in ("fetch", "prepare", "tune", "train", "compress"):
        command(small.root, "step", name)
    return small


def pipeline(root):
    """tune and compress, each shared by two."""
    params = load(root / "params.yaml", Params)
    views = {name: view(params, STEPS[name].params).model_dump_json() for name in STEPS}

    def given(place, kind):
        return dsl.importer(artifact_uri=str(root / place), artifact_class=kind).output

    @dsl.pipeline(name="parts")
    def parts():
        prepared = given("data/prepared", dsl.Dataset)
        trained = given("models/trained", dsl.Model)
        with dsl.ParallelFor([0, 1]) as worker:
            joined = tune_part(prepared=prepared, params=views["tune"], worker=worker)
        tune(prepared=prepared, params=views["tune"]).after(joined)
        inputs = {"prepared": prepared, "trained": trained, "params": views["compress"]}
        with dsl.ParallelFor([0, 1]) as part:
            built = compress_part(**inputs, part=part, parts=2)
        compress(**inputs, work=dsl.Collected(built.outputs["work"]))

    return parts


def test_the_local_runner_fans_out_and_collects(project, tmp_path, monkeypatch, capsys):
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(project.root))
    monkeypatch.setenv("OPENAUTOGLM_STUDY", f"sqlite:///{tmp_path}/study.db")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "runs"))
    pipeline(project.root)()
    said = capsys.readouterr().out
    for name in ("tune", "compress"):
        place = STEPS[name].out
        (made,) = (tmp_path / "runs").rglob(Path(place).name)
        assert read_manifest(made).digest == read_manifest(project.root / place).digest
    begun = re.findall(r"(\d+) of its trials were begun here", said)
    assert len(begun) == 2
    assert sum(map(int, begun)) == 4
    assert len(re.findall(r"taken up: [1-9]\d* finished", said)) == 2
