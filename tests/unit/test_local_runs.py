"""Folders of pipeline runs on this machine, and what of this process tasks inherit."""

import json
import os
import shutil
import sys

import pytest

from openautoglm.artifacts.lock import exclusive
from openautoglm.config.project import Project
from openautoglm.errors import BusyError, ConfigError
from openautoglm.kubeflow import running
from openautoglm.kubeflow.compiling import settings_of
from tests.support.project import ROOT

TIME = "2026-01-02-03-04-05-000006"


@pytest.fixture
def project(tmp_path):
    for name in ("components", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    found = Project(tmp_path)
    found.pipelines.mkdir(parents=True)
    return found


def test_runs_of_a_pipeline_are_told_from_those_of_one_whose_name_begins_alike(project):
    for name in (f"training-{TIME}", f"training-2-{TIME}", f"retrain-{TIME}", "training.log"):
        (project.pipelines / name).mkdir()
    found = running._runs(project, f"training{running._TIME}")
    assert [folder.name for folder in found] == [f"training-{TIME}"]


def test_outputs_are_found_also_below_a_folder_called_payload(tmp_path):
    run = tmp_path / "payload" / "run"
    for place in ("train/trained/manifest.json", "train/trained/payload/raw/manifest.json"):
        (run / place).parent.mkdir(parents=True, exist_ok=True)
        (run / place).touch()
    assert running._outputs(run) == {"trained": run / "train" / "trained"}


def inherited(project, monkeypatch, python):
    monkeypatch.setattr(sys, "executable", str(python))
    before = dict(os.environ)
    with running._environment(project, {"CALLER": "me"}, shared=False):
        seen = dict(os.environ), sys.executable
    assert dict(os.environ) == before
    assert sys.executable == str(python)
    return seen


@pytest.mark.parametrize("folder", ["plain", "with a blank", "of python3"])
def test_tasks_find_this_interpreter_through_their_path(project, monkeypatch, tmp_path, folder):
    python = tmp_path / folder / "python3.11"
    python.parent.mkdir()
    (python.parent / "python3").touch()
    environment, executable = inherited(project, monkeypatch, python)
    assert environment["CALLER"] == "me"
    assert environment["PATH"].split(os.pathsep)[0] == str(python.parent)
    assert executable == "python3"


def test_an_interpreter_without_that_name_is_taken_as_it_is(project, monkeypatch, tmp_path):
    environment, executable = inherited(project, monkeypatch, tmp_path / "pypy")
    assert executable == str(tmp_path / "pypy")
    assert environment["PATH"] == os.environ["PATH"]


def test_a_second_run_is_told_who_is_at_work_and_changes_nothing(project):
    log = project.pipelines / "training.log"
    log.write_text("of the first")
    with exclusive(project.pipelines / "run.lock"), pytest.raises(BusyError) as refused:
        running.run(project, "training")
    assert f"process {os.getpid()}" in str(refused.value)
    assert log.read_text() == "of the first"


def test_settings_of_a_task_that_is_none_are_refused(project):
    text = project.pipeline_settings.read_text()
    project.pipeline_settings.write_text(text.replace("  train: {", "  trian: {"))
    with pytest.raises(ConfigError) as refused:
        settings_of(project)
    assert "there is no component `trian`" in str(refused.value)
    assert "did you mean `train`?" in str(refused.value)


def test_missing_settings_are_told_with_what_to_write(project):
    project.pipeline_settings.unlink()
    with pytest.raises(ConfigError) as refused:
        settings_of(project)
    assert "image: null" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("train: it broke", "  next:    mend it, then again: openautoglm pipeline run training"),
        ("fetch: no file\n  next:    write it", "  then:    openautoglm pipeline run training"),
    ],
)
def test_a_failed_task_is_told_once_with_its_own_advice_first(
    project, monkeypatch, tmp_path, text, last
):
    file = tmp_path / "failure.json"
    file.write_text(json.dumps({"exit_code": 2, "text": text}))
    monkeypatch.setenv("OPENAUTOGLM_FAILURE", str(file))
    told = running._ended("training", "Inner task failed", project.pipelines / "training.log")
    assert told.exit_code == 2
    assert str(told).startswith(f"training did not end well, {text}\n")
    assert str(told).splitlines()[-1].startswith(last)


def test_a_task_that_was_killed_told_nothing_and_is_a_fault(project, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAUTOGLM_FAILURE", str(tmp_path / "none.json"))
    told = running._ended("training", "Inner task failed", project.pipelines / "training.log")
    assert told.exit_code == 1
    assert "training.log" in str(told)
