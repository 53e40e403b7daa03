"""Who is asked for, who hangs, who fails: what a controller makes of what it sees."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from openautoglm.config.gateway import Gateway
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.local import life
from openautoglm.deploy.local.controller import Controller
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.gateways import Gateways, gateway_units
from openautoglm.deploy.local.health import Health, ask
from openautoglm.deploy.local.revive import Revival
from openautoglm.deploy.local.status import read_status
from openautoglm.deploy.local.supervisor import Program, Supervisor
from openautoglm.deploy.local.telling import Teller
from openautoglm.deploy.local.unit import Unit
from openautoglm.deploy.local.wanted import Reading
from openautoglm.rollout.live import LiveRollout
from openautoglm.routing.envoy import stored
from openautoglm.routing.routes import Endpoint, Routes
from tests.support.ports import free_port
from tests.support.service import service
from tests.support.wait import PATIENCE, until


def replica(number=0, port=1):
    return Unit(
        name=f"replica-{number}",
        kind="replica",
        command=("/bin/true",),
        release="v1",
        port=port,
        grpc_port=port + 1,
    )


class World:
    """Replicas that answer as they are told, and a clock that is set."""

    def __init__(self, count=1):
        self.units = [replica(number) for number in range(count)]
        self.answer, self.now, self.old, self.pid = "ready", 0.0, 1000.0, 7
        self.health = Health(
            asking=lambda unit, digest: self.answer,
            clock=lambda: self.now,
            age=lambda pid: self.old,
        )

    def look(self, answer, *, after=1.0, times=1):
        for _ in range(times):
            self.now += after
            self.answer = answer
            programs = {unit.name: Program("RUNNING", self.pid) for unit in self.units}
            ready = self.health.look(self.units, programs, {})
        return bool(ready)


@pytest.mark.parametrize("answer", ["refused", "not ready"])
def test_a_refusal_counts_at_once(answer):
    world = World()
    assert world.look("ready")
    assert not world.look(answer)


def test_a_late_answer_counts_the_third_time_in_a_row():
    world = World()
    world.look("ready")
    assert world.look("late", times=2)
    assert world.look("ready")
    assert world.look("late", times=2)
    assert not world.look("late")
    assert not world.look("late")


def test_one_that_never_was_ready_is_not_so_by_being_late():
    assert not World().look("late")


@pytest.mark.parametrize("before", ["ready", "refused"])
def test_one_that_is_connected_to_and_does_not_answer_hangs_however_old_it_is(before):
    world = World()
    world.old = 1.0
    world.look(before)
    world.look("late", times=10)
    assert world.health.hung() == ({"replica-0"} if before == "refused" else set())
    world.look("late", times=2)
    assert world.health.hung() == {"replica-0"}


def test_a_new_controller_finds_one_that_hung_before():
    world = World()
    world.look("late", times=12)
    assert world.health.hung() == {"replica-0"}


def test_one_that_loads_has_two_minutes():
    world = World()
    world.old = 100.0
    world.look("refused", times=90)
    assert world.health.hung() == set()
    world.old = 121.0
    assert world.health.hung() == {"replica-0"}


def test_the_next_process_of_a_unit_begins_anew():
    world = World()
    world.look("ready")
    world.look("late", times=12)
    assert world.health.started("replica-0")
    world.pid, world.old = 8, 1.0
    world.look("refused", times=20)
    assert not world.health.started("replica-0")
    assert world.health.hung() == set()


def test_many_that_are_silent_are_asked_all_at_once():
    met = threading.Barrier(100)

    def asking(unit, digest):
        met.wait(timeout=PATIENCE)
        return "ready"

    units = [replica(number) for number in range(100)]
    programs = {unit.name: Program("RUNNING", 1) for unit in units}
    assert len(Health(asking=asking).look(units, programs, {})) == 100


def test_a_replica_that_listens_and_says_nothing_is_late_and_a_closed_port_refuses():
    with closing(socket.socket()) as silent:
        port = free_port()
        silent.bind(("127.0.0.1", port))
        silent.listen()
        assert ask(replica(port=port), None) == "late"
    assert ask(replica(port=port), None) == "refused"


class Recorder:
    """A supervisor that only notes what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda unit: self.told.append((name, unit))


class Lives:
    """A unit under a Revival; the clock is set."""

    def __init__(self, unit=None):
        self.unit = unit or replica(port=free_port())
        self.recorder, self.now = Recorder(), 0.0
        self.revival = Revival(self.recorder, clock=lambda: self.now)

    def step(self, state="RUNNING", pid=None, *, ready=False, hung=False):
        program, name = Program(state, pid), self.unit.name
        self.recorder.told.clear()
        self.revival.step(
            [self.unit],
            {name: program},
            ready={name} if ready else set(),
            hung={name} if hung else set(),
        )
        self.failing = bool(self.revival.failing({name: program}))
        return [what for what, _ in self.recorder.told]

    def lasts(self, pid):
        """A process that outlives its first seconds, never ready."""
        told = self.step("STARTING", pid)
        return told + self.step("RUNNING", pid)


def test_what_ends_again_and_again_is_failing_from_the_second_time_on_and_pauses():
    one = Lives()
    assert one.lasts(1) == []
    assert one.lasts(2) == []
    assert not one.failing
    assert one.step("STARTING", 3) == ["stop"]
    assert one.failing
    assert one.revival.paused(one.unit.name)


def test_pauses_grow():
    one, pid, pauses = Lives(), 3, []
    one.lasts(1)
    one.lasts(2)
    for _ in range(7):
        assert one.step("STARTING", pid) == ["stop"]
        began = one.now
        while one.step("STOPPED") != ["start"]:
            one.now += 1
        pauses.append(one.now - began)
        assert one.lasts(pid + 1) == []
        pid += 2
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
    assert one.failing


def test_one_that_is_paused_is_started_only_when_it_has_stopped():
    one = Lives()
    one.lasts(1)
    one.lasts(2)
    one.step("STARTING", 3)
    one.now += 100
    assert one.step("STOPPING", 3) == []
    assert one.step("STOPPED") == ["start"]


def test_being_ready_once_clears_the_count():
    one = Lives()
    one.lasts(1)
    one.lasts(2)
    one.step("RUNNING", 2, ready=True)
    assert one.lasts(3) == []
    assert one.lasts(4) == []
    assert not one.failing


def test_what_ends_within_its_first_seconds_is_left_to_the_supervisor():
    one = Lives()
    for pid in range(1, 5):
        assert one.step("STARTING", pid) == []
        assert one.step("BACKOFF") == []
    assert one.failing


@pytest.mark.parametrize("kind", ["replica", "gateway"])
def test_what_was_given_up_is_tried_again_after_a_pause(kind):
    one = Lives(replica(port=free_port()).model_copy(update={"kind": kind}))
    assert one.step("FATAL") == []
    one.now = 4.0
    assert one.step("FATAL") == []
    one.now = 5.0
    assert one.step("FATAL") == ["start"]


def test_a_pause_begins_when_it_was_given_up_and_not_some_time_before():
    one = Lives()
    one.step("FATAL")
    one.step("RUNNING", 1)
    one.now = 100.0
    assert one.step("FATAL") == []


def test_a_replica_whose_port_was_taken_is_replaced():
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        one = Lives(replica(port=other.getsockname()[1]))
        one.step("FATAL")
        one.now = 5.0
        assert one.step("FATAL") == ["forget"]


def test_what_hangs_is_killed():
    assert Lives().step("RUNNING", 1, hung=True) == ["restart"]


def test_nothing_is_kept_of_units_that_are_no_more():
    one = Lives()
    one.lasts(1)
    one.revival.step([], {}, ready=set(), hung=set())
    assert one.revival.failing({}) == set()
    assert not one.revival.paused(one.unit.name)


def test_a_real_process_that_is_never_ready_pauses_and_comes_back(tmp_path):
    with service(tmp_path) as folder:
        supervisor, now = Supervisor(folder), [0.0]
        unit = replica(port=free_port()).model_copy(
            update={"command": ("/bin/sleep", "3"), "start_seconds": 1}
        )
        supervisor.add(unit)
        supervisor.ensure()
        revival = Revival(supervisor, clock=lambda: now[0])

        def program():
            programs = supervisor.states()
            revival.step([unit], programs, ready=set(), hung=set())
            return programs[unit.name]

        until(lambda: program() and revival.paused(unit.name), what="the pause")
        until(lambda: program().state == "STOPPED", what="its end")
        now[0] = 5.0
        until(lambda: program().pid, what="another process")
        assert not revival.paused(unit.name)
        supervisor.shutdown()


@pytest.fixture
def folder(tmp_path):
    found = ServiceFolder(Project(tmp_path), "small")
    found.root.mkdir(parents=True)
    found.envoy.mkdir()
    return found


class Stored(Recorder):
    """One that has units, too."""

    def __init__(self, units):
        super().__init__()
        self.there = units

    def units(self):
        return self.there

    def add(self, *units):
        self.told.append(("add", units))


def test_gateways_that_move_their_port_stay_and_are_stored_with_the_new_one(folder):
    old = gateway_units(folder, Gateway(port=20_001, host="127.0.0.1"))
    supervisor = Stored(old)
    programs = {unit.name: Program("RUNNING", 1) for unit in old}
    gateways = Gateways(folder, supervisor)
    gateways.step(Gateway(port=20_001, host="127.0.0.1"), old, programs)
    assert supervisor.told == []
    gateways.step(Gateway(port=20_002, host="127.0.0.1"), old, programs)
    [(_, units)] = supervisor.told
    assert [unit.name for unit in units] == [unit.name for unit in old]
    assert {unit.port for unit in units} == {20_002}


def test_a_gateway_that_is_silent_is_not_waited_for_and_one_that_is_gone_is(folder, monkeypatch):
    units = gateway_units(folder, Gateway(processes=2))
    moods = dict(zip((unit.admin for unit in units), ("silent", "gone"), strict=True))
    monkeypatch.setattr("openautoglm.routing.envoy.admin.look", lambda socket: moods[str(socket)])
    gateways = Gateways(folder, Stored(units))
    gateways.look(units, {unit.name: Program("RUNNING", 1) for unit in units})
    assert gateways.watching(units) == [Path(units[1].admin)]


def test_a_file_is_read_again_only_after_it_changed(tmp_path):
    path, reads = tmp_path / "file", []

    def read(path):
        reads.append(path)
        return path.read_text() if path.exists() else None

    reading = Reading(path, read)
    assert [reading.get(), reading.get()] == [None, None]
    path.write_text("one")
    assert [reading.get(), reading.get()] == ["one", "one"]
    os.utime(path, (0, 0))
    path.write_text("two")
    assert [reading.get(), reading.get()] == ["two", "two"]
    path.unlink()
    assert reading.get() is None
    assert len(reads) == 4


def test_a_file_that_could_not_be_read_is_read_again(tmp_path):
    answers = iter([ValueError("damaged"), "whole"])

    def read(path):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reading = Reading(tmp_path / "none", read)
    with pytest.raises(ValueError, match="damaged"):
        reading.get()
    assert reading.get() == "whole"


@pytest.mark.parametrize(
    "found",
    [
        {"variants": {}, "weights": [], "shadow": None},
        {"variants": {"a": [{"host": 1, "port": "x"}]}, "weights": {}, "shadow": None},
        {"variants": {}, "weights": {"a": 100}, "shadow": None},
        {"variants": 3},
        [],
        "text",
    ],
    ids=str,
)
def test_stored_routes_that_nobody_applied_are_none(tmp_path, found):
    path = tmp_path / "routes.json"
    path.write_text(json.dumps(found))
    assert stored.read(path) is None


def test_stored_routes_are_read_as_they_were_written(tmp_path):
    routes = Routes({"a": (Endpoint("127.0.0.1", 1, 2),)}, {"a": 100})
    (tmp_path / "routes.json").write_text(stored.text_of(routes))
    assert stored.read(tmp_path / "routes.json") == routes


def test_what_fails_is_told_each_time_with_a_new_time_also_from_the_beginning_on(folder):
    desired = Desired(generation=3, name="small", service=Service(model="models:/small/1"))
    teller = Teller(folder)
    teller.failed(RuntimeError("on fire"), desired, 2)
    first = read_status(folder.status)
    assert (first.generation, first.records, first.problems) == (3, 2, ("on fire",))
    assert not first.healthy
    time_of = first.time

    def told_again():
        teller.failed(RuntimeError("on fire"), desired, 2)
        return read_status(folder.status).time > time_of

    until(told_again, what="a new time")


def test_the_controller_outlives_errors_that_nobody_expected(folder, monkeypatch, caplog):
    ticks = []

    class Broken(Controller):
        def tick(self):
            ticks.append(1)
            if len(ticks) < 3:
                raise KeyError("of a bug")
            os.kill(os.getpid(), signal.SIGTERM)
            return True

    monkeypatch.setattr(life, "Controller", Broken)
    monkeypatch.setattr(life.logs, "configure", lambda: None)
    before = {n: signal.getsignal(n) for n in (15, 2)}
    try:
        with caplog.at_level(logging.ERROR):
            life.run(folder, LiveRollout(folder))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert len(ticks) == 3
    assert caplog.records[0].exc_info
    assert "of a bug" in read_status(folder.status).problems[0]
