"""Searches on a real SQLite: one outcome, whoever runs them and whatever breaks."""

import json
import math
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest

from openautoglm.errors import DataError, InputError, StepError, StoreError
from openautoglm.tuning.queue import opened_queue
from openautoglm.tuning.search import search
from openautoglm.tuning.space import Point
from openautoglm.tuning.storage import Storage, export
from openautoglm.tuning.trials import best
from tests.support.tuning import (
    PLAN,
    SMALL,
    SPACE,
    STARTS,
    Breaking,
    Objective,
    lines,
    quality,
    several,
    times,
)


@pytest.fixture
def storage(tmp_path):
    return Storage(f"sqlite:///{tmp_path}/study.db", "tune")


def states(tmp_path):
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        return [state for (state,) in database.execute("select state from trials order by number")]


def test_a_search_has_the_starts_and_then_its_rounds(storage, tmp_path, capsys):
    found = search(Objective(tmp_path), SPACE, PLAN, storage)
    assert [trial.number for trial in found] == list(range(14))
    assert [(trial.round, trial.place) for trial in found] == [
        *((0, place) for place in range(2)),
        *((round_, place) for round_ in (1, 2) for place in range(6)),
    ]
    assert tuple(trial.point for trial in found[:2]) == STARTS
    assert all(SPACE.has(trial.point) for trial in found)
    assert len({trial.point for trial in found}) == len(found)
    assert {trial.state for trial in found} == {"complete", "pruned"}
    assert "trial 0 (round 0): glm orders=[1,2] penalty=1: value 0.47\n" in capsys.readouterr().err


def test_numbers_come_back_bit_by_bit(storage, tmp_path):
    for trial in search(Objective(tmp_path), SPACE, PLAN, storage):
        expected = quality(trial.point)
        assert trial.values in ((), (expected,))
        assert all(value == expected * step / 3 for step, value in trial.reports)


def test_prunings_look_at_earlier_rounds_alone(storage, tmp_path):
    found = search(Objective(tmp_path), SPACE, PLAN, storage)
    assert {trial.round for trial in found if trial.state == "pruned"} == {2}
    for trial in found:
        if trial.round == 2:
            known = sorted(
                dict(other.reports)[1]
                for other in found
                if other.round < 2 and other.point.branch == trial.point.branch
            )
            below = trial.reports[0][1] < (known[1] + known[2]) / 2
            assert (trial.state == "pruned") == below


def test_a_finished_search_runs_nothing(storage, tmp_path):
    rounds = []
    once = search(Objective(tmp_path), SPACE, SMALL, storage)
    again = search(Objective(tmp_path), SPACE, SMALL, storage, workers=3, after_round=rounds.append)
    assert again == once
    assert set(times(tmp_path, "begun").values()) == {1}
    assert [len(trials) for trials in rounds] == [2, 6]


def test_more_rounds_go_on_with_a_search(storage, tmp_path):
    once = search(Objective(tmp_path), SPACE, SMALL, storage)
    more = search(Objective(tmp_path), SPACE, replace(SMALL, rounds=2), storage)
    assert more[: len(once)] == once
    assert set(times(tmp_path, "begun").values()) == {1}


@pytest.mark.parametrize("other", [replace(SMALL, seed=9), replace(SMALL, trials=5)])
def test_another_search_under_the_same_name_is_refused(other, storage, tmp_path):
    search(Objective(tmp_path), SPACE, SMALL, storage)
    with pytest.raises(InputError, match="another search"):
        search(Objective(tmp_path), SPACE, other, storage)
    search(Objective(tmp_path), SPACE, other, replace(storage, name="other"))


def test_a_database_that_cannot_be_used_is_told(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path}/nowhere/study.db", "tune")
    with pytest.raises(StoreError, match="cannot be used"):
        search(Objective(tmp_path), SPACE, SMALL, storage)
    with pytest.raises(StoreError, match="cannot be used"):
        search(Objective(tmp_path), SPACE, SMALL, Storage("no url", "tune"))


def test_a_path_with_braces_is_a_path(tmp_path):
    folder = tmp_path / "{a}"
    folder.mkdir()
    search(Objective(tmp_path), SPACE, SMALL, Storage(f"sqlite:///{folder}/study.db", "tune"))
    assert (folder / "study.db").exists()


def test_starts_beyond_the_space_are_tried_as_they_are(storage, tmp_path):
    starts = (
        Point("glm", {"penalty": 500.0, "orders": (1, 2, 3, 4)}),
        Point("transformer", {"layers": 9}),
        Point("other", {"x": 1.0}),
    )
    found = search(Objective(tmp_path), SPACE, replace(SMALL, starts=starts), storage)
    assert tuple(trial.point for trial in found[:3]) == starts
    assert all(SPACE.has(trial.point) for trial in found[3:])
    assert len(found) == 7


def test_a_value_that_is_not_finite_fails_its_trial_alone(storage, tmp_path):
    def objective(point, report):
        report(1, math.nan)
        return (quality(point) if point.branch == "glm" else math.inf,)

    found = search(objective, SPACE, replace(SMALL, prune=False), storage)
    assert {(t.point.branch, t.state) for t in found} == {
        ("glm", "complete"),
        ("transformer", "failed"),
    }
    assert best(found).point.branch == "glm"
    search(Objective(tmp_path), SPACE, replace(SMALL, prune=False), storage)
    assert not lines(tmp_path, "begun")


def test_a_search_where_every_trial_fails_is_an_error(storage):
    with pytest.raises(StepError, match="none of 6 trials has a finite value"):
        search(lambda point, report: (math.nan,), SPACE, SMALL, storage)


def test_an_exception_ends_the_search_and_its_trial_is_tried_again(storage, tmp_path):
    def broken(point, report):
        report(1, 0.1)
        if point.branch == "transformer":
            raise DataError("no rows", hint="look")
        return Objective(tmp_path)(point, report)

    with pytest.raises(DataError, match="no rows"):
        search(broken, SPACE, SMALL, storage)
    assert states(tmp_path) == ["COMPLETE", "FAIL"]
    found = search(Objective(tmp_path), SPACE, SMALL, storage)
    assert len(found) == 6
    assert set(times(tmp_path, "begun").values()) == {1}


def test_an_interrupted_trial_is_tried_again(storage, tmp_path):
    def interrupted(point, report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, SPACE, SMALL, storage)
    assert states(tmp_path) == ["FAIL", "WAITING"]
    assert len(search(Objective(tmp_path), SPACE, SMALL, storage)) == 6


def test_another_number_of_values_is_an_error(storage):
    with pytest.raises(ValueError, match="2 values for 1 directions"):
        search(lambda point, report: (1.0, 2.0), SPACE, SMALL, storage)


@pytest.mark.parametrize("error", [DataError("no rows", hint="look"), ConnectionError("gone")])
def test_what_a_worker_raises_is_raised(error, storage, tmp_path):
    objective = Breaking(tmp_path, os.getpid(), error)
    with pytest.raises(type(error), match=str(error.args[0])) as caught:
        search(objective, SPACE, SMALL, storage, workers=2)
    assert str(caught.value) == str(error)
    assert "in a worker" in caught.value.__notes__[0]
    assert "FAIL" in states(tmp_path)


class TwoPartError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def test_what_cannot_cross_from_a_worker_is_told(storage, tmp_path):
    objective = Breaking(tmp_path, os.getpid(), TwoPartError)
    with pytest.raises(StepError, match="TwoPartError: no rows"):
        search(objective, SPACE, SMALL, storage, workers=2)


def test_a_trial_that_was_taken_over_does_not_count_twice(storage, tmp_path):
    taken = []

    def objective(point, report):
        if not taken:
            taken.append(point)
            with opened_queue(storage, SPACE, SMALL) as queue:
                (running,) = (t for t in queue._trials() if t.state.name == "RUNNING")
                queue._fail(running._trial_id)
        return Objective(tmp_path)(point, report)

    found = search(objective, SPACE, SMALL, storage)
    assert found == search(Objective(tmp_path), SPACE, SMALL, replace(storage, name="other"))


def test_a_trial_elsewhere_is_given_up_after_the_grace(storage, tmp_path, monkeypatch):
    storage = replace(storage, heartbeat=1, grace=1)
    with opened_queue(storage, SPACE, SMALL) as queue:
        queue.fill(0, STARTS)
        with monkeypatch.context() as patch:
            patch.setattr("socket.gethostname", lambda: "elsewhere")
            claim = queue.claim()
        assert claim is not None
        queue.release()
        assert queue.claim().place == 1
    found = search(Objective(tmp_path), SPACE, SMALL, storage)
    assert len(found) == 6
    assert times(tmp_path, "ended")[str(STARTS[0])] == 1


def test_several_values_are_neither_pruned_nor_changed_by_workers(tmp_path):
    directions = ("maximize", "minimize", "minimize")
    plan = replace(PLAN, directions=directions, labels=tuple("abc"), prune=False)
    one, two = (
        search(several, SPACE, plan, Storage(f"sqlite:///{tmp_path}/{n}.db", "x"), workers=n)
        for n in (1, 2)
    )
    assert one == two
    assert {trial.state for trial in one} == {"complete"}
    assert all(len(trial.values) == 3 for trial in one)


def dashboard(url, path):
    answers = []
    request = {"PATH_INFO": path}
    setup_testing_defaults(request)
    app = optuna_dashboard.wsgi(optuna.storages.RDBStorage(url))
    body = b"".join(app(request, lambda status, *_: answers.append(status)))
    assert answers == ["200 OK"]
    return json.loads(body)


def test_the_dashboard_opens_the_copied_study(storage, tmp_path):
    trials = search(Objective(tmp_path), SPACE, PLAN, storage)
    export(trials, SPACE, PLAN.directions, tmp_path / "copy.db", "best trials")
    export(trials, SPACE, PLAN.directions, tmp_path / "copy.db", "best trials")
    url = f"sqlite:///{tmp_path}/copy.db"
    (study,) = dashboard(url, "/api/studies")["study_summaries"]
    assert study["study_name"] == "best trials"
    shown = dashboard(url, f"/api/studies/{study['study_id']}")["trials"]
    assert [trial["state"].lower() for trial in shown] == [
        {"complete": "complete", "pruned": "pruned"}[trial.state] for trial in trials
    ]
    assert sorted(file.name for file in tmp_path.iterdir() if "copy" in file.name) == ["copy.db"]


def test_the_copy_holds_starts_beyond_the_space_and_several_values(storage, tmp_path):
    starts = (Point("glm", {"penalty": 500.0, "orders": (9,)}), Point("other", {"x": 1}))
    directions = ("maximize", "minimize", "minimize")
    plan = replace(SMALL, starts=starts, directions=directions, labels=tuple("abc"), prune=False)
    trials = search(several, SPACE, plan, storage)
    export(trials, SPACE, directions, tmp_path / "copy.db")
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/copy.db")
    assert study.trials[0].params == {"family": "glm", "penalty": 500.0}
    assert study.trials[1].params == {"family": "other"}
    assert [tuple(trial.values) for trial in study.trials] == [t.values for t in trials]
