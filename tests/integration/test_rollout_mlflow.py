"""A rollout in a real MLflow on SQLite: both arms under equal names, and nothing twice."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from openautoglm.config.project import Project
from openautoglm.errors import InputError, StoreError
from openautoglm.registry.store import Store, open_store
from openautoglm.registry.tracker import MlflowTracker
from openautoglm.rollout.points import Arm, Point, Weighed
from openautoglm.rollout.published import publish
from tests.support.once import empty_stores
from tests.support.rollout import START, Rollout, verdicts


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("rollout")
        empty_stores.put(root)
        yield open_store(Project(root))


def points(last: int) -> list[Point]:
    return [
        Point(
            START + second,
            second,
            "canary",
            5,
            Arm(95 * second, second, 12.0, 48.0, 160.0, 40, 4, 0.91),
            Arm(5 * second, 0, 13.0, 55.0, 240.0, 20, 3, 0.89),
            0.97,
            0.03,
            {name: Weighed(0.01, 0.0, -1.0, 2.0, 5.7) for name in ("errors", "slow")},
        )
        for second in range(10, last + 1, 10)
    ]


def rollout(*, ended: bool = False) -> Rollout:
    found = Rollout(shadow={"percent": 0}, step_seconds=60)
    found.look(30)
    if ended:
        found.look(30, evidence=verdicts(errors="worse"))
    return found


def runs(store, service):
    """Parent, champion and challenger; each exactly once."""
    found = store.client.search_runs([store.experiment], f"tags.service = '{service}'")
    by_name = {run.info.run_name: run for run in found}
    assert len(found) == len(by_name) == 3
    return [by_name[name] for name in (f"rollout {service} 1", "champion", "challenger")]


def curve(store, run, metric):
    history = store.client.get_metric_history(run.info.run_id, metric)
    return [(point.step, point.value) for point in history]


def curves(store, service):
    return [
        {metric: curve(store, run, metric) for metric in run.data.metrics}
        for run in runs(store, service)
    ]


def test_champion_and_challenger_are_below_one_run_with_equal_metric_names(store):
    publish(MlflowTracker(store), "clc", rollout().records[1:], points(30))
    parent, champion, challenger = runs(store, "clc")
    for below in (champion, challenger):
        assert below.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert set(champion.data.metrics) == set(challenger.data.metrics)
    assert {
        *("error_percent", "p50_ms", "p95_ms", "p99_ms", "accuracy", "agreement", "confidence"),
        *("weight", "evidence/errors", "evidence/threshold", "slow_percent", "prediction_drift"),
    } <= set(champion.data.metrics)
    assert curve(store, champion, "p95_ms") == [(10, 48.0), (20, 48.0), (30, 48.0)]
    assert curve(store, challenger, "weight") == [(10, 5.0), (20, 5.0), (30, 5.0)]
    assert curve(store, champion, "weight")[0] == (10, 95.0)
    assert curve(store, challenger, "evidence/errors")[0] == (10, 2.0)
    assert curve(store, champion, "slow_percent")[0] == (10, 1.0)
    assert curve(store, challenger, "prediction_drift")[0] == (10, 0.03)
    assert champion.data.params["version"] == "1"


def test_runs_name_versions_digests_state_and_reason_and_hold_settings_and_files(store):
    records = rollout(ended=True).records[1:]
    publish(MlflowTracker(store), "told", records, points(10))
    parent, champion, challenger = runs(store, "told")
    assert champion.data.tags["digest"] == "sha256-1"
    assert challenger.data.tags["version"] == "2"
    assert parent.data.tags["state"] == "rolled_back"
    assert parent.data.tags["reason"] == "worse than the champion: errors"
    assert parent.data.params["metrics.errors.margin"] == "0.5"
    assert parent.data.params["challenger.digest"] == "sha256-2"
    folder = Path(store.client.download_artifacts(parent.info.run_id, ""))
    assert "rolled back" in (folder / "report.html").read_text()
    kept = json.loads((folder / "records.json").read_text())
    assert [one["rollout"]["state"] for one in kept] == ["pending", "canary", "rolled_back"]


def test_published_again_it_adds_only_what_is_new(store):
    publish(MlflowTracker(store), "again", rollout().records[1:], points(20))
    once = curves(store, "again")
    publish(MlflowTracker(store), "again", rollout().records[1:], points(20))
    assert curves(store, "again") == once
    publish(MlflowTracker(store), "again", rollout(ended=True).records[1:], points(40))
    parent, champion, _ = runs(store, "again")
    assert parent.data.tags["state"] == "rolled_back"
    assert [step for step, _ in curve(store, champion, "error_percent")] == [10, 20, 30, 40]


class Dying:
    """Passes everything on to a real run until it has logged so many points."""

    def __init__(self, inner, left: list[int]) -> None:
        self.inner, self.left = inner, left

    @contextmanager
    def run(self, name, **keys):
        with self.inner.run(name, **keys) as run:
            yield Dying(run, self.left)

    @contextmanager
    def nested(self, name, **keys):
        with self.inner.nested(name, **keys) as run:
            yield Dying(run, self.left)

    def params(self, values):
        self.inner.params(values)

    def metrics(self, values, step=None):
        if self.left[0] == 0:
            raise KeyboardInterrupt
        self.left[0] -= 1
        self.inner.metrics(values, step)

    def artifact(self, path, folder=None):
        self.inner.artifact(path, folder)


@pytest.fixture(scope="module")
def whole(store):
    publish(MlflowTracker(store), "whole", rollout().records[1:], points(30))
    return curves(store, "whole")


@pytest.mark.parametrize("after", [1, 4])
def test_killed_between_two_points_the_next_attempt_completes_it(store, whole, after):
    service, records = f"killed-{after}", rollout().records[1:]
    with pytest.raises(KeyboardInterrupt):
        publish(Dying(MlflowTracker(store), [after]), service, records, points(30))
    publish(MlflowTracker(store), service, records, points(30))
    assert curves(store, service) == whole


def test_a_service_that_was_removed_and_began_anew_has_a_run_of_its_own(store):
    publish(MlflowTracker(store), "anew", rollout().records[1:], [])
    later = rollout()
    later.records[1] = later.records[1].model_copy(update={"time": "2027-01-01T00:00:00+00:00"})
    publish(MlflowTracker(store), "anew", later.records[1:], [])
    found = store.client.search_runs([store.experiment], "tags.service = 'anew'")
    assert len(found) == 6


def test_a_store_that_does_not_answer_is_told_as_one(free_port_store):
    with pytest.raises(StoreError, match="does not answer"):
        publish(MlflowTracker(free_port_store), "clc", rollout().records[1:], points(10))


@pytest.fixture
def free_port_store(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = "http://127.0.0.1:9"  # discard: nobody listens
    return Store(uri, MlflowClient(tracking_uri=uri, registry_uri=uri), "0")


def test_no_room_for_its_files_is_told_as_a_store_without_room(store, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match="cannot be written"):
        publish(MlflowTracker(store), "full", rollout().records[1:], [])


def test_records_without_the_beginning_are_refused(store):
    with pytest.raises(InputError, match="first decision"):
        publish(MlflowTracker(store), "clc", rollout().records[2:], [])
