"""Replicas by load, and the load of replicas."""

import os
import subprocess
import sys

import psutil
import pytest

from openautoglm.config.service import Autoscale
from openautoglm.deploy.local.autoscale import Autoscaler
from openautoglm.deploy.local.load import Load
from tests.support.wait import until


def settings(threshold=70, least=1, most=10, up=5, down=60):
    return Autoscale(
        cpu_threshold=f"{threshold}%",
        min_replicas=least,
        max_replicas=most,
        scale_up_seconds=up,
        scale_down_seconds=down,
    )


def after(steady, current, *, seconds, every=1, **how):
    """The count after so many seconds of one measurement, and when it changed first."""
    scaler, changed = Autoscaler(settings(**how)), None
    for now in range(0, seconds + 1, every):
        wanted = scaler.decide(current, steady, now)
        if wanted != current and changed is None:
            changed = now
        current = wanted
    return current, changed


def test_the_formula_is_that_of_kubernetes():
    assert after(100, 3, seconds=5) == (5, 5)  # ceil(3 * 100 / 70)


@pytest.mark.parametrize("measured", [63.1, 70, 76.9])
def test_a_tenth_beside_the_threshold_changes_nothing(measured):
    assert after(measured, 3, seconds=200) == (3, None)


def test_fewer_take_longer():
    assert after(20, 3, seconds=59) == (3, None)
    assert after(20, 3, seconds=60) == (1, 60)


def test_near_full_use_less_calls_for_more():
    assert after(100, 3, seconds=5, threshold=95) == (4, 5)


def test_the_most_modest_call_of_the_time_counts():
    scaler = Autoscaler(settings(up=2))
    assert [scaler.decide(2, load, now) for now, load in enumerate((200, 100, 200))] == [2, 2, 3]


def test_one_quiet_moment_begins_the_time_anew():
    scaler = Autoscaler(settings(up=2))
    loads = (200, 70, 200, 200, 200)
    assert [scaler.decide(2, load, now) for now, load in enumerate(loads)] == [2, 2, 2, 2, 6]


def test_without_a_time_the_first_measurement_decides():
    assert Autoscaler(settings(up=0)).decide(2, 200, 0) == 6
    assert Autoscaler(settings(down=0)).decide(2, 10, 0) == 1


def test_a_shorter_time_for_fewer_is_not_held_up_by_a_longer_one_for_more():
    assert after(10, 3, seconds=2, up=60, down=2) == (1, 2)


def test_what_was_before_a_silence_does_not_count():
    scaler = Autoscaler(settings(down=30))
    for now in range(20):
        scaler.decide(3, 10, now)
    assert scaler.decide(3, 10, 100) == 3
    assert scaler.decide(3, 10, 110) == 3


def test_bounds_that_were_changed_hold_at_once():
    assert Autoscaler(settings(least=4)).decide(2, None, 0) == 4
    assert Autoscaler(settings(most=4)).decide(9, None, 0) == 4


@pytest.fixture
def busy():
    """Start a process that computes without end."""
    started = []

    def start():
        started.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def used(pid):
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def seconds(*at):
    return iter(at).__next__


def test_nothing_is_known_at_the_first_look(busy):
    assert Load().look({"one": busy()}, threads=1) == {"one": None}


def test_the_share_is_of_all_threads_since_the_last_look(busy):
    pid = busy()
    until(lambda: used(pid) >= 0.1)
    load = Load(seconds(0, 10))
    load.look({"one": pid}, threads=2)
    first = used(pid)
    until(lambda: used(pid) >= first + 0.2)
    [share] = load.look({"one": pid}, threads=2).values()
    assert 0.2 / 10 / 2 <= share <= used(pid) / 10 / 2


def test_who_was_started_again_begins_anew(busy):
    load = Load(seconds(0, 10, 20))
    load.look({"one": os.getpid()}, threads=1)
    pid = busy()
    assert load.look({"one": pid}, threads=1) == {"one": None}
    assert load.look({"one": pid}, threads=1)["one"] is not None


def test_who_is_gone_uses_nothing_that_is_known(busy):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert Load().look({"one": gone.pid, "two": None}, threads=1) == {"one": None, "two": None}


def test_who_is_not_asked_for_is_forgotten():
    load = Load(seconds(0, 10))
    load.look({"one": os.getpid()}, threads=1)
    assert load.look({}, threads=1) == {}
    load = Load(seconds(0, 20))
    assert load.look({"one": os.getpid()}, threads=1) == {"one": None}
