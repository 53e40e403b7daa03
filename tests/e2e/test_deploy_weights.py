"""Weights and rolling deploys while requests come: none fails, and each share is what was said."""

from __future__ import annotations

import math

import pytest

from tests.support.site import site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-weights")]
Z = 5.0
"""Standard errors: one share in a million is farther off by chance."""
SHARES = (0, 5, 50, 100, 95, 0, 1, 20, 80, 99)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Version 1 serves, version 2 is its challenger."""
    with site(tmp_path_factory.mktemp("weights") / "project", 0, 1) as found:
        found.deploy(replicas=1)
        yield found


def check_share(answers, share):
    """Of the answers, the challenger's part is its share, exactly at 0 and 100."""
    total, found = sum(answers.values()), answers["2"]
    if share in (0, 100):
        assert found == total * share // 100, answers
        return
    expected = total * share / 100
    slack = Z * math.sqrt(total * share / 100 * (1 - share / 100)) + 1
    assert abs(found - expected) <= slack, f"{found} of {total} at {share} %"


def change(small, traffic, share, answers):
    """Decide on a share, and look at so many answers to what was asked when it was in force."""
    small.run("weights", "small", f"champion={100 - share}", f"challenger={share}")
    traffic.clear()  # requests that are under way may have begun before the change
    until(lambda: traffic.good >= answers, what="traffic")
    check_share(traffic.versions(), share)


def test_each_share_is_what_was_said_and_no_request_fails(small):
    with Traffic(small.port, clients=8, pause=0.002) as traffic:
        for share in SHARES[:5]:
            change(small, traffic, share, 400)
            assert traffic.failures == []


@pytest.mark.sweep
def test_fifty_changes_and_five_rolling_deploys(small, record_property):
    with Traffic(small.port, clients=8, pause=0.002) as traffic:
        for number in range(50):
            change(small, traffic, SHARES[number % len(SHARES)], 1000)
            assert traffic.failures == []
            if number % 10 == 9:
                small.deploy(serving={"batching": {"max_batch_size": 8 + number}})
                assert traffic.failures == []
    record_property("cases", 55)
