"""Runs in a real MLflow on SQLite: taken up again, logged once, ended as what they were."""

import pytest

from openautoglm.config.project import Project
from openautoglm.observability.tracking import SilentTracker, Tracker
from openautoglm.registry.store import open_store
from openautoglm.registry.tracker import MlflowTracker
from tests.support.once import empty_stores


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("tracker")
        empty_stores.put(root)
        yield open_store(Project(root))


@pytest.fixture
def tracker(store) -> Tracker:
    return MlflowTracker(store)


def runs(store, key):
    return store.client.search_runs([store.experiment], f"tags.`openautoglm.key` = '{key}'")


def points(store, run, metric):
    history = store.client.get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in history]


def test_a_run_holds_what_was_logged(store, tracker, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "b.txt").write_text("b")
    with tracker.run("train", key="one", tags={"family": "glm"}) as run:
        run.params({"train": {"lr": 0.5, "orders": [1, 2], "base": None}, "name": "x"})
        run.metrics({"loss": 1.0}, step=1)
        run.metrics({"loss": 0.5}, step=2)
        run.metrics({"f1/铁路 (a)": 1})
        run.artifact(tmp_path / "a.txt")
        run.artifact(tmp_path / "plots", "plots")
    (found,) = runs(store, "train one")
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "train"
    assert found.data.params == {
        "train.lr": "0.5",
        "train.orders": "[1, 2]",
        "train.base": "null",
        "name": "x",
    }
    assert found.data.tags["family"] == "glm"
    assert points(store, found, "loss") == [(1, 1.0), (2, 0.5)]
    assert found.data.metrics["f1/铁路 _a_"] == 1
    listed = store.client.list_artifacts(found.info.run_id)
    assert sorted(item.path for item in listed) == ["a.txt", "plots"]


def broken_attempt(tracker, key):
    with tracker.run("train", key=key) as run:
        run.params({"lr": 1})
        run.metrics({"loss": 1.0}, step=1)
        run.metrics({"f1": 0.5})
        raise RuntimeError


def test_a_second_attempt_takes_up_the_run_and_repeats_nothing(store, tracker):
    with pytest.raises(RuntimeError):
        broken_attempt(tracker, "two")
    assert runs(store, "train two")[0].info.status == "FAILED"
    with tracker.run("train", key="two") as run:
        run.params({"lr": 2, "epochs": 3})
        run.metrics({"loss": 1.0}, step=1)
        run.metrics({"loss": 0.9}, step=2)
        run.metrics({"f1": 0.5})
    (found,) = runs(store, "train two")
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "1", "epochs": "3"}
    assert points(store, found, "loss") == [(1, 1.0), (2, 0.9)]
    assert points(store, found, "f1") == [(0, 0.5)]


def test_an_interrupted_run_is_killed(store, tracker):
    with pytest.raises(KeyboardInterrupt), tracker.run("train", key="three"):
        raise KeyboardInterrupt
    assert runs(store, "train three")[0].info.status == "KILLED"


def test_one_key_under_two_names_is_two_runs(store, tracker):
    for name in ("transformer", "glm"):
        with tracker.run(name, key="four"):
            pass
    assert len(runs(store, "transformer four")) == len(runs(store, "glm four")) == 1


def test_many_parameters_and_metrics_are_logged_in_batches(store, tracker):
    with tracker.run("many", key="five") as run:
        run.params({f"p{number}": number for number in range(250)})
        run.metrics({f"m{number}": number for number in range(250)})
    (found,) = runs(store, "many five")
    assert len(found.data.params) == len(found.data.metrics) == 250


def test_a_nested_run_lies_below_its_parent(store, tracker):
    with tracker.run("tune", key="six") as run:
        with run.nested("trial 0", key="six 0", tags={"family": "glm"}) as nested:
            nested.params({"lr": 1})
            nested.metrics({"macro_f1": 0.5})
        run.metrics({"best": 0.5})
    (parent,), (found,) = runs(store, "tune six"), runs(store, "trial 0 six 0")
    assert found.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert found.data.tags["family"] == "glm"
    assert found.data.metrics == {"macro_f1": 0.5}
    assert parent.data.metrics == {"best": 0.5}
    assert found.info.status == parent.info.status == "FINISHED"


def interrupted_search(tracker):
    with tracker.run("tune", key="seven") as run, run.nested("trial 0", key="seven 0") as nested:
        nested.metrics({"macro_f1": 0.5}, step=1)
        raise RuntimeError


def test_a_nested_run_is_found_again(store, tracker):
    with pytest.raises(RuntimeError):
        interrupted_search(tracker)
    assert runs(store, "trial 0 seven 0")[0].info.status == "FAILED"
    with tracker.run("tune", key="seven") as run, run.nested("trial 0", key="seven 0") as nested:
        nested.metrics({"macro_f1": 0.5}, step=1)
    (found,) = runs(store, "trial 0 seven 0")
    assert found.info.status == "FINISHED"
    assert points(store, found, "macro_f1") == [(1, 0.5)]


def test_the_silent_tracker_has_nested_runs_too(tmp_path):
    with SilentTracker().run("tune", key="x") as run, run.nested("trial 0", key="y") as nested:
        nested.params({"lr": 1})
        nested.metrics({"f1": 0.5}, step=1)
        nested.artifact(tmp_path)
