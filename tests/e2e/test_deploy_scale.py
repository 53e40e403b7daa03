"""Replicas follow the load, and a deploy leaves their number to the autoscaler."""

from __future__ import annotations

import pytest

from tests.support.site import site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-scale")]
AUTOSCALE = {
    "cpu_threshold": "5%",
    "min_replicas": 1,
    "max_replicas": 3,
    "scale_up_seconds": 1,
    "scale_down_seconds": 6,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with site(tmp_path_factory.mktemp("scale") / "project", 0) as found:
        found.said = found.deploy(replicas=1, autoscale=AUTOSCALE)
        yield found


def test_more_replicas_than_cores_are_warned_of(small):
    small.write(autoscale={**AUTOSCALE, "max_replicas": 100})
    shown = small.run("deploy", "--plan")
    small.write(autoscale=AUTOSCALE)
    assert "warning" in shown
    assert "100" in shown


def test_replicas_come_with_the_load_and_go_with_it(small):
    assert len(small.pids("replica")) == 1
    with Traffic(small.port, clients=8, pause=0) as traffic:
        until(lambda: small.status().replicas == 3, what="the decision for three")
        until(lambda: small.status().healthy, what="three that are ready")
        assert "live 3, owned by autoscaler" in small.run("deploy", "--plan")
        assert "nothing to change" in small.run("deploy")
        assert len(small.pids("replica")) == 3
    until(lambda: small.status().replicas == 1, what="the decision for one")
    until(lambda: len(small.pids("replica")) == 1, what="the end of two")
    assert traffic.failures == []


def test_without_autoscale_the_file_counts_again(small):
    small.deploy(autoscale=None, replicas=2)
    assert len(small.pids("replica")) == 2
