"""Workers and kills: real processes, killed at trials of their own; one outcome all the same."""

import os
import random

import psutil
import pytest

from openautoglm.tuning.search import search
from openautoglm.tuning.storage import Storage
from tests.support.tuning import (
    PLAN,
    SMALL,
    SPACE,
    Objective,
    in_a_process,
    killed_at,
    lines,
    times,
)
from tests.support.wait import until

pytestmark = pytest.mark.slow

TRIALS = 2 + PLAN.rounds * PLAN.trials
COMMITS = 90
"""Writes to the database of a small search, its tables among them; a few less than there are."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return search(Objective(folder), SPACE, PLAN, Storage(f"sqlite:///{folder}/study.db", "tune"))


@pytest.fixture
def storage(tmp_path):
    return Storage(f"sqlite:///{tmp_path}/study.db", "tune")


@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.sweep), 3])
def test_workers_change_nothing_and_share_no_trial(workers, undisturbed, storage, tmp_path):
    assert search(Objective(tmp_path), SPACE, PLAN, storage, workers=workers) == undisturbed
    assert set(times(tmp_path, "begun").values()) == {1}


def killed_and_resumed(storage, folder, hold, workers):
    """Kill a search, caller only, while all its workers hold a trial; then finish it."""
    process = in_a_process(Objective(folder, hold=hold), storage, PLAN, workers)
    # None of them is between the end of a trial and writing it down then.
    until(lambda: len(lines(folder, "held")) == workers)
    process.kill()
    process.join()
    for pid in {pid for pid, _ in lines(folder, "begun")}:
        until(lambda pid=pid: not psutil.pid_exists(pid))
    finished = times(folder, "ended")
    found = search(Objective(folder), SPACE, PLAN, storage)
    again = times(folder, "ended")
    assert all(again[point] == 1 for point in finished)
    return found


@pytest.mark.parametrize(
    "hold",
    [pytest.param(0, marks=pytest.mark.sweep), 5, pytest.param(11, marks=pytest.mark.sweep)],
)
def test_a_killed_search_goes_on(hold, undisturbed, storage, tmp_path):
    assert killed_and_resumed(storage, tmp_path, hold, workers=1) == undisturbed


def test_workers_end_with_their_caller_and_the_search_goes_on(undisturbed, storage, tmp_path):
    assert killed_and_resumed(storage, tmp_path, 4, workers=3) == undisturbed


def test_the_trial_of_a_killed_worker_is_run_by_another(undisturbed, storage, tmp_path, capfd):
    objective = Objective(tmp_path, die=0, spare=os.getpid())
    assert search(objective, SPACE, PLAN, storage, workers=2) == undisturbed
    assert (tmp_path / "died").exists()
    assert "a worker died (-9); its trial is run again" in capfd.readouterr().err


def until_it_ends(storage, folder, die, workers):
    """Run a search that kills one of its processes, again until it ends by itself."""
    for _ in range(2):
        process = in_a_process(Objective(folder, die=die), storage, PLAN, workers)
        process.join()
        if process.exitcode == 0:
            return search(Objective(folder), SPACE, PLAN, storage)
    raise AssertionError(f"the search ended with {process.exitcode}")


def resumed_after_a_death(undisturbed, storage, folder, die, workers):
    assert until_it_ends(storage, folder, die, workers) == undisturbed
    assert (folder / "died").exists()
    # With the caller every worker ends, and each may have been at a trial, or have ended one
    # whose end it could not write down.
    ended = times(folder, "ended")
    assert ended.total() - len(ended) < workers
    assert TRIALS < times(folder, "begun").total() <= TRIALS + workers


@pytest.mark.parametrize("seed", range(1))
def test_whichever_process_dies_nothing_changes(seed, undisturbed, storage, tmp_path):
    rng = random.Random(seed)
    die, workers = rng.randint(1, TRIALS), rng.randint(1, 3)
    resumed_after_a_death(undisturbed, storage, tmp_path, die, workers)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return search(Objective(folder), SPACE, SMALL, Storage(f"sqlite:///{folder}/study.db", "tune"))


def resumed_after_a_commit(commit, small, storage, folder):
    assert killed_at(commit, folder, storage)
    assert search(Objective(folder), SPACE, SMALL, storage) == small
    # One trial may have ended without its end being written down.
    assert sorted(times(folder, "ended").values())[:-1] == [1] * (len(small) - 1)


@pytest.mark.parametrize("seed", range(2))
def test_a_search_killed_at_a_commit_goes_on(seed, small, storage, tmp_path):
    resumed_after_a_commit(random.Random(seed).randint(1, COMMITS), small, storage, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
def test_a_search_killed_at_any_commit_goes_on(commit, small, storage, tmp_path):
    resumed_after_a_commit(commit, small, storage, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("die", range(1, TRIALS + 1))
def test_whichever_process_dies_at_whichever_trial(die, workers, undisturbed, storage, tmp_path):
    resumed_after_a_death(undisturbed, storage, tmp_path, die, workers)
