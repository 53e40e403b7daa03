"""SIGKILL for the controller in each state of a rollout: the same outcome, and nobody notices."""

from __future__ import annotations

import itertools
import os
import random
import signal

import pytest

from openautoglm.deploy.ledger import read
from tests.support.registry import CHARACTERS, Chain
from tests.support.site import site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.sweep, pytest.mark.xdist_group("rollout-kills")]
SETTINGS = {
    "shadow": {"percent": 50, "seconds": 1},
    "steps": [20, 50],
    "step_seconds": 1,
    # On a busy machine a good one has a slow moment, too.
    "metrics": {"errors": {"margin": 5}, "slow": {"objective_ms": 5000, "margin": 10}},
}
STRICT = {
    **SETTINGS,
    "metrics": {"errors": {"margin": 5}, "slow": {"objective_ms": 100, "margin": 10}},
}
GOOD_COURSE = ["pending", "shadow", "canary", "canary", "promoting", "promoted"]
SLOW_COURSE = ["pending", "shadow", "rolled_back"]
SLOW = "3"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Versions 1 and 2 are equally good, version 3 is slow."""
    with site(tmp_path_factory.mktemp("rollout-kills") / "project", 0) as found:
        for seed, flaw in enumerate(("", "slow"), start=1):
            Chain(found.root).make(seed, flaw=flaw).register()
        found.deploy(replicas=1, rollout=SETTINGS)
        yield found


def decisions(small):
    return [one for one in read(small.folder.ledger) if one.rollout]


def course(small):
    """The states of the last rollout, without those in which it only waits for what a kill cost."""
    records = decisions(small)
    last = records[-1].rollout.id
    told = [(one.rollout.state, one.rollout.step) for one in records if one.rollout.id == last]
    return [state for (state, _), _ in itertools.groupby(told) if state != "held"]


@pytest.mark.parametrize("later", [False, True], ids=["before acting", "later"])
@pytest.mark.parametrize("place", range(len(GOOD_COURSE)))
def test_a_good_one_is_promoted_wherever_its_controller_dies(small, place, later):
    small.deploy(rollout=SETTINGS)
    before = small.status().roles["champion"].release.version
    challenger = "2" if before == "1" else "1"
    with Traffic(small.port, clients=4, texts=CHARACTERS) as traffic:
        rounds(small, traffic, challenger, place, later)
        until(lambda: course(small)[-1] == "promoted", what="the promotion")
        until(
            lambda: (
                {role: (of.release.version, of.weight) for role, of in small.status().roles.items()}
                == {"champion": (challenger, 100)}
            ),
            what="the new champion",
        )
    assert course(small) == GOOD_COURSE
    check(small, traffic)


@pytest.mark.parametrize("later", [False, True], ids=["before acting", "later"])
@pytest.mark.parametrize("place", range(len(SLOW_COURSE)))
def test_a_slow_one_is_rolled_back_wherever_its_controller_dies(small, place, later):
    small.deploy(rollout=STRICT)
    before = small.status().roles["champion"].release.version
    with Traffic(small.port, clients=4, texts=CHARACTERS) as traffic:
        rounds(small, traffic, SLOW, place, later)
        until(lambda: course(small)[-1] == "rolled_back", what="the rollback")
        until(lambda: list(small.status().roles) == ["champion"], what="the champion alone")
    assert course(small) == SLOW_COURSE
    assert set(traffic.versions()) == {before}
    check(small, traffic)


def rounds(small, traffic, challenger, place, later):
    """Start a rollout, and kill the controller when it has come to a place."""
    number = len(decisions(small))
    with small.start("rollout", "start", "small", "--challenger", challenger) as command:
        until(lambda: len(decisions(small)) > number, what="the beginning")
        until(lambda: len(course(small)) > place, what=f"place {place}")
        if later:
            seen = traffic.good + random.Random(place).randint(1, 150)
            until(lambda: traffic.good > seen, what="traffic")
        pid = until(lambda: small.pids("controller").get("controller"), what="a controller")
        os.kill(pid, signal.SIGKILL)
        command.communicate()


def check(small, traffic):
    assert all(sum(one.weights.values()) == 100 for one in read(small.folder.ledger))
    assert traffic.failures == []
    until(lambda: small.status().healthy, what="health")
