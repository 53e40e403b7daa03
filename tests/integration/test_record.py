"""How a pipeline's run ended: kept in a real MLflow, and told to a real web server."""

import logging
from types import SimpleNamespace

import pytest
from kfp import dsl

from components.record import record as component
from openautoglm.config.project import Project
from openautoglm.registry.store import open_store
from openautoglm.steps import record as module
from openautoglm.steps.record import notify, record
from tests.support.hook import hook
from tests.support.once import empty_stores
from tests.support.ports import HOST, free_port
from tests.support.registry import Chain
from tests.support.retraining import HOUR, decide

PARAMS = """\
data:
  source: {kind: file, path: rows.csv}
model: {name: small}
train: {lr: 0.5}
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", module.NOTIFY, module.HOST):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with an empty store, which this process works in."""
    folder = tmp_path / "project"
    empty_stores.put(folder)
    Chain(folder)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(folder))
    return folder


@pytest.fixture
def told(monkeypatch):
    """A server that wants to be told."""
    with hook() as found:
        monkeypatch.setenv(module.NOTIFY, found.url)
        yield found


def ended(state="SUCCEEDED", error=None, *, run="run-1", params=PARAMS, now=10 * HOUR):
    status = SimpleNamespace(state=state, error_message=error)
    record(status, pipeline="training", run=run, params=params, now=now)


def kept(root):
    store = open_store(Project(root))
    return store.client.search_runs([store.experiment], "tags.pipeline = 'training'")


def test_a_run_is_kept_with_its_parameters_and_its_page(root, monkeypatch):
    monkeypatch.setenv(module.HOST, "https://kubeflow.example/pipeline/")
    ended()
    (run,) = kept(root)
    assert run.info.run_name == "pipeline training"
    assert run.info.status == "FINISHED"
    assert run.data.params["train.lr"] == "0.5"
    assert run.data.params["model.name"] == "small"
    link = "https://kubeflow.example/pipeline/#/runs/details/run-1"
    assert run.data.tags["pipeline.link"] == link
    assert "pipeline.error" not in run.data.tags


def test_it_is_kept_once_however_often_it_is_told(root):
    ended("RUNNING")
    ended("FAILED", "out of memory")
    (run,) = kept(root)
    assert run.info.status == "FAILED"
    assert run.data.tags["pipeline.state"] == "failed"
    assert run.data.tags["pipeline.error"] == "out of memory"
    ended(run="run-2")
    assert len(kept(root)) == 2


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "FINISHED"), ("CACHED", "FINISHED"), ("CANCELED", "KILLED"), ("ODD", "FAILED")],
)
def test_every_state_of_kubeflow_has_one_of_mlflow(root, state, status):
    ended(state)
    assert [run.info.status for run in kept(root)] == [status]


def test_parameters_that_made_the_run_fail_are_kept_as_they_were_given(root):
    ended("FAILED", params="model: {nam: small}")
    (run,) = kept(root)
    assert run.data.params == {"params": "model: {nam: small}"}


def test_the_retraining_that_it_began_ends_with_it(root, told):
    decide(root, "run-1", 1, "a")
    ended()
    assert told.told[0][1]["text"].startswith(
        "training: succeeded; retraining: there is no champion"
    )
    assert decide(root, "run-2", 40, "b")[1].startswith("there are no other rows")


def test_somebody_is_told(root, told):
    ended("FAILED", "out of memory")
    (path, message), *others = told.told
    assert not others
    assert path.endswith("/very-secret?key=also-secret")
    assert message == {
        "text": "training: failed: out of memory\nrun run-1",
        "pipeline": "training",
        "state": "failed",
        "run": "run-1",
        "error": "out of memory",
    }


def test_a_server_that_is_busy_is_told_again(told, capsys):
    told.statuses = [503, 429]
    assert notify(told.url, {"text": "x"})
    assert len(told.told) == 3
    assert "answered 503; again in 0 s" in capsys.readouterr().err


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_server_that_does_not_want_it_is_told_once(told, capsys, status):
    told.statuses = [status]
    assert not notify(told.url, {"text": "x"})
    assert len(told.told) == 1
    assert f"NOBODY WAS TOLD: http://{HOST}" in capsys.readouterr().err


def test_a_server_that_hangs_is_left_alone_after_a_while(told, capsys, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", 0.05)
    told.statuses = [None, None, None]
    assert not notify(told.url, {"text": "x"})
    assert "does not answer (ReadTimeout)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://{HOST}:{{port}}/very-secret", "does not answer (ConnectError)"),
        ("very-secret", "is no URL of a web server"),
        ("ftp://host/very-secret", "is no URL of a web server"),
        ("http://host:very-secret/", "is no URL of a web server"),
    ],
)
def test_nobody_there_is_told_and_no_secret_with_it(capsys, url, why):
    assert not notify(url.format(port=free_port()), {"text": "x"})
    said = capsys.readouterr().err
    assert why in said
    assert "secret" not in said


def test_no_secret_is_in_any_log(told, capsys, caplog):
    with caplog.at_level(logging.INFO):
        notify(told.url, {"text": "x"})
    assert "secret" not in capsys.readouterr().err + caplog.text


def test_a_record_that_could_not_be_kept_is_told_loudly_and_fails_nothing(
    root, told, capsys, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{HOST}:{free_port()}")
    ended()
    assert "NO RECORD WAS KEPT of run run-1" in capsys.readouterr().err
    assert "NO RECORD WAS KEPT of run run-1" in told.told[0][1]["text"]


def test_a_process_without_a_project_tells_so(told, monkeypatch):
    monkeypatch.delenv("OPENAUTOGLM_PROJECT", raising=False)
    ended()
    assert "a component does not know its project" in told.told[0][1]["text"]


def test_the_component_unpacks_kubeflows_status(root):
    status = dsl.PipelineTaskFinalStatus("FAILED", "job", "chain", 1, "Task train failed.")
    component.python_func(pipeline="training", run="run-1", params=PARAMS, status=status)
    (run,) = kept(root)
    assert run.data.tags["pipeline.error"] == "Task train failed."
