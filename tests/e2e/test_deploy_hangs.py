"""What lives and is of no use: it hangs, it was drained, or it has another port."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from openautoglm.config.gateway import Gateway
from openautoglm.config.service import Service
from openautoglm.deploy.desired import Desired, read_desired, write_desired
from openautoglm.deploy.ledger import Record, append
from openautoglm.deploy.local import controller as controllers
from openautoglm.deploy.local.status import now, read_status
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.unit import read_units
from openautoglm.deploy.release import Release
from openautoglm.rollout.live import LiveRollout
from openautoglm.routing.envoy import admin
from tests.support.ports import free_port
from tests.support.service import service
from tests.support.site import site
from tests.support.traffic import Traffic
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-hangs")]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with site(tmp_path_factory.mktemp("hangs") / "project", 0) as found:
        found.deploy()
        yield found


def another(small, unit, pid):
    """Wait for another process of a unit, and for health that is told after that."""
    until(
        lambda: small.pids(unit).get(unit, pid) != pid,
        what=f"another process in the place of {unit}",
    )
    since = now()
    until(lambda: small.status().time > since and small.status().healthy, what="health")


def routed(small):
    """Endpoints in the routes in force, over all variants."""
    text = (small.folder.envoy / "routes.json").read_text(encoding="utf-8")
    return sum(len(of) for of in json.loads(text)["variants"].values())


@pytest.mark.sweep
def test_a_replica_that_hangs_is_replaced_by_whoever_is_the_controller_then(small):
    before = small.pids()
    unit = next(name for name in before if name.startswith("replica"))
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
        os.kill(before[unit], signal.SIGSTOP)
        until(lambda: routed(small) == 1, what="routes without it")
        os.kill(before["controller"], signal.SIGKILL)
        another(small, unit, before[unit])
    # Those that had to wait for it until the gateway's time-out are failures; no later one is.
    assert all(failure.startswith("504") for failure in traffic.failures), traffic.failures
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
    assert traffic.failures == []


def test_a_gateway_that_hangs_is_replaced_and_keeps_no_routes_from_the_other(small):
    before = small.pids("gateway")
    unit, other = before
    known = read_desired(small.folder.desired)
    [controller] = small.pids("controller").values()
    os.kill(controller, signal.SIGSTOP)  # it acts when the gateway hangs, and not before
    small.write(replicas=1)
    waiting = small.start("deploy", "--wait", str(int(PATIENCE)))
    until(lambda: read_desired(small.folder.desired) != known, what="the decision")
    os.kill(before[unit], signal.SIGSTOP)
    with suppress(ProcessLookupError):  # the deploy may have put another one in its place
        os.kill(controller, signal.SIGCONT)
    until(lambda: routed(small) == 1, what="one replica in the routes")
    assert small.pids(unit)[unit] == before[unit], "it was replaced before the routes came"
    another(small, unit, before[unit])
    said, _ = waiting.communicate(timeout=2 * PATIENCE)
    assert waiting.returncode == 0, said
    assert small.pids(other)[other] == before[other]
    with Traffic(small.port, clients=8) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
    assert traffic.failures == []


def test_a_gateway_that_was_drained_and_is_wanted_comes_back(small):
    """As after a delete that was killed in its drain, and another deploy."""
    before = small.pids("gateway")
    for unit in read_units(small.folder.units):
        if unit.kind == "gateway":
            admin.drain(Path(unit.admin))
    for unit, pid in before.items():
        another(small, unit, pid)
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []


def test_the_port_changes_in_place_and_other_changes_come_after_it(small):
    before, old = small.pids("gateway"), small.port
    small.port = free_port()
    small.deploy()
    small.deploy(gateway={"timeout_ms": 9000})
    assert small.pids("gateway") == before
    ports = {unit.port for unit in read_units(small.folder.units) if unit.kind == "gateway"}
    assert ports == {small.port} != {old}
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []


def test_replicas_that_end_before_they_are_ready_are_told_and_no_more_are_started(
    tmp_path, monkeypatch
):
    """They outlive the first seconds after which the supervisor calls a start a good one."""
    make = controllers.replica_unit

    def dying(*given):
        changes = {"command": ("/bin/sleep", "3"), "start_seconds": 1}
        return make(*given).model_copy(update=changes)

    monkeypatch.setattr(controllers, "replica_unit", dying)
    gateway = Gateway(port=free_port(), processes=1)
    wanted = Service(model="models:/small/1", replicas=2, gateway=gateway)
    release = Release(
        name="small",
        version="1",
        digest=f"sha256-{'0' * 64}",
        family="glm",
        variant="fp32",
        origin="models:/small/1",
    )
    with service(tmp_path) as folder:
        folder.make()
        write_desired(folder.desired, Desired(generation=1, name="small", service=wanted))
        releases, weights = {"champion": release}, {"champion": 100}
        append(folder.ledger, Record(kind="deploy", by="test", releases=releases, weights=weights))
        Supervisor(folder).ensure()
        controller = controllers.Controller(folder, LiveRollout(folder))
        paused = set()

        def both_pause():
            controller.tick()
            status, programs = read_status(folder.status), Supervisor(folder).states()
            replicas = [one for one in status.processes if one.kind == "replica"]
            assert len(replicas) <= 2
            paused.update(
                one.unit
                for one in replicas
                if one.state == "failing" and programs[one.unit].state == "STOPPED"
            )
            return len(paused) == 2 and status

        status = until(both_pause, what="two replicas that pause")
        assert any("ends again and again" in problem for problem in status.problems)
        assert not status.healthy
