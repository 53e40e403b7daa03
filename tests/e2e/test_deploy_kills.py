"""SIGKILL for each process of a service, under load: little is lost, all comes back, once."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.site import processes, site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-kills")]
CLIENTS = 4
WHOLE_AGAIN = 5.0
"""Seconds: the promise, not a measurement; a slow machine is given more."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with site(tmp_path_factory.mktemp("kills") / "project", 0) as found:
        found.deploy()
        # What dies within its first seconds is started again after a pause.
        yield found


def kill(small, unit):
    pid = small.pids()[unit]
    os.kill(pid, signal.SIGKILL)
    return pid


def whole_again(small, before, killed):
    """Wait until every process lives, the killed one under another id, and all are healthy."""

    def whole():
        now = small.pids()
        return (
            now.keys() == before.keys()
            and now[killed] != before[killed]
            and all(now[unit] == before[unit] for unit in before if unit != killed)
            and small.status().healthy
        )

    until(whole, seconds=6 * WHOLE_AGAIN, what=f"whole again without {killed}")
    assert len(processes(small.root)) == len(set(small.pids().values())) + supervised(small)


def supervised(small):
    """Processes that name the project and are no units: those that wait for adopted ones."""
    return sum("keep.py" in line for line in processes(small.root))


@pytest.mark.parametrize("victim", ["replica", "gateway", "controller", "supervisor"])
def test_it_is_whole_again_and_at_most_what_was_under_way_is_lost(small, victim):
    before = small.pids()
    unit = next(name for name in before if name.startswith(victim))
    with Traffic(small.port, clients=CLIENTS) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
        kill(small, unit)
        whole_again(small, before, unit)
        seen = traffic.good
        until(lambda: traffic.good > seen + 50, what="traffic afterwards")
    # What a replica had under way is asked again of another one.
    assert len(traffic.failures) <= (CLIENTS if victim == "gateway" else 0), traffic.failures


def test_all_at_once_come_back_with_the_next_command(small):
    for pid in small.pids().values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not small.pids(), what="the end of all")
    assert "starting" in small.run("status", code=1)
    until(lambda: small.pids() and small.status().healthy, seconds=30, what="all of it again")
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []


def test_a_replica_that_hangs_is_replaced(small):
    before = small.pids("replica")
    unit = next(iter(before))
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
        os.kill(before[unit], signal.SIGSTOP)
        until(
            lambda: small.pids("replica").get(unit, before[unit]) != before[unit],
            seconds=40,
            what="another process in its place",
        )
        until(lambda: small.status().healthy, seconds=30, what="health")
    # Those that had to wait for it until the gateway's time-out are failures; no later one is.
    assert all(failure.startswith("504") for failure in traffic.failures), traffic.failures
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
    assert traffic.failures == []
