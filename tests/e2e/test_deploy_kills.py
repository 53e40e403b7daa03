"""SIGKILL for each process of a service, under load: little is lost, all comes back, once."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import psutil
import pytest

from openautoglm.deploy.local.apply import look_after
from openautoglm.deploy.local.status import now
from tests.support.site import processes, site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-kills")]
CLIENTS = 4
BROKEN = ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError")
"""What a client sees of a connection whose other side has died; an answer is not among them."""


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


def has_ended(pids, units):
    """Whether the kernel has closed all that these processes had open."""
    for unit in units:
        try:
            process = psutil.Process(pids[unit])
            # Its first thread may be done while others hold its sockets.
            if process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


def whole_again(small, before, *killed):
    """Wait until every process lives, the killed ones under other ids, and all are healthy."""

    def replaced():
        now = small.pids()
        return now.keys() == before.keys() and all(
            (now[unit] != before[unit]) == (unit in killed) for unit in before
        )

    until(replaced, what=f"others in the place of {killed}")
    since = now()
    until(lambda: healthy_since(small, since), what=f"health without {killed}")
    until(lambda: not strangers(small), what="nobody but the units")


def healthy_since(small, since):
    """What was told before may be of a service that has died."""
    return small.status().time > since and small.status().healthy


def strangers(small):
    """Processes that name the project and are neither units nor wait for adopted ones."""
    return len(processes(small.root)) != len(set(small.pids().values())) + supervised(small)


def supervised(small):
    """Processes that name the project and are no units: those that wait for adopted ones."""
    return sum("keep.py" in line for line in processes(small.root))


def lost_with_gateways(traffic, gateways, gone):
    """Only what was on a connection to a killed gateway is lost.

    While the kernel takes one down, a client that comes back may be given to it once more; what
    was begun when it was gone is nobody's to lose.
    """
    assert len(traffic.failures) <= 2 * gateways * CLIENTS, traffic.failures
    assert all(one.startswith(BROKEN) for one in traffic.failures), traffic.failures
    assert all(begun < gone for begun in traffic.begun), traffic.failures


@pytest.mark.parametrize("victim", ["replica", "gateway", "controller", "supervisor"])
def test_it_is_whole_again_and_at_most_what_was_under_way_is_lost(small, victim):
    before = small.pids()
    unit = next(name for name in before if name.startswith(victim))
    with Traffic(small.port, clients=CLIENTS) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
        kill(small, unit)
        until(lambda: has_ended(before, [unit]))
        gone = time.monotonic()
        whole_again(small, before, unit)
        seen = traffic.good
        until(lambda: traffic.good > seen + 50, what="traffic afterwards")
    # What a replica had under way is asked again of another one.
    assert not traffic.failures or victim == "gateway", traffic.failures
    lost_with_gateways(traffic, 1, gone)


@pytest.mark.sweep
def test_a_hundred_kills_of_one_or_several_at_random(small, record_property):
    rng = random.Random(0)
    for _ in range(100):
        before = small.pids()
        victims = rng.sample(sorted(before), rng.choice((1, 1, 1, 2)))
        gateways = sum(unit.startswith("gateway") for unit in victims)
        replicas = sum(unit.startswith("replica") for unit in victims)
        with Traffic(small.port, clients=CLIENTS) as traffic:
            until(lambda traffic=traffic: traffic.good > 20, what="traffic")
            for unit in victims:
                os.kill(before[unit], signal.SIGKILL)
            until(lambda before=before, victims=victims: has_ended(before, victims))
            gone = time.monotonic()
            if {"supervisor", "controller"} <= set(victims):  # each would start the other again
                look_after(small.folder)
            whole_again(small, before, *victims)
        if gateways < 2 and replicas < 2:  # else nobody is left to answer for a moment
            lost_with_gateways(traffic, gateways, gone)
    record_property("cases", 100)


def test_all_at_once_come_back_with_the_next_command(small):
    # Those who would start others again may not do so in between.
    for unit in ("supervisor", "controller"):
        os.kill(small.pids()[unit], signal.SIGSTOP)

    def all_killed():
        """Some may only just begin, and are found when they have their lock."""
        for pid in small.pids().values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not processes(small.root)

    until(all_killed, what="the end of all")
    since = now()
    small.start("status").communicate()
    until(lambda: healthy_since(small, since), what="all of it again")
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []
