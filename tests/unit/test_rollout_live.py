"""What a rollout does when its ledger has no room, or the feedback store hangs."""

from __future__ import annotations

import errno
import threading
from threading import Event
from time import time

import pytest

from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import append, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import StoreError
from openautoglm.rollout import feedback_reader, live
from openautoglm.rollout.ledger import FileLedger, recorded
from openautoglm.rollout.machine import Decision
from openautoglm.rollout.observation import Observation
from openautoglm.rollout.plan import requested, started
from openautoglm.rollout.state import progress
from openautoglm.rollout.telling import read_told
from tests.unit.test_rollout_gathering import SETTINGS, release
from tests.unit.test_rollout_settling import record

DESIRED = Desired(generation=1, name="small", service=Service(model="models:/small/1"))
WAIT = 60
BACK = Decision("rolled_back", None, 1, "", "worse", False)


@pytest.fixture
def folder(tmp_path):
    """A service whose rollout has just begun."""
    found = ServiceFolder(Project(tmp_path), "small")
    append(found.ledger, record("1"))
    append(found.ledger, started(read(found.ledger), release("2"), SETTINGS, by="test"))
    return found


def test_a_rollback_is_in_force_before_the_ledger_has_room_for_it(folder, monkeypatch):
    rollout, room = live.LiveRollout(folder), FileLedger.append
    monkeypatch.setattr(live, "decide", lambda *_: BACK)
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.0)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileLedger, "append", full)
    records = read(folder.ledger)
    for _ in range(2):
        rollout.look(records, DESIRED, None, (), "")
        assert rollout.in_force(records).weights == {"champion": 100}
        assert rollout.in_force(records).rollout.state == "rolled_back"
        assert read(folder.ledger) == records
    monkeypatch.setattr(FileLedger, "append", room)
    rollout.look(records, DESIRED, None, (), "")
    assert read(folder.ledger)[-1].rollout.state == "rolled_back"
    assert rollout.in_force(read(folder.ledger)) == read(folder.ledger)[-1]
    rollout.close()


def test_one_that_cannot_be_written_yet_gives_way_to_a_person(folder, monkeypatch):
    """Nobody decides on what somebody else has changed meanwhile."""
    rollout = live.LiveRollout(folder)
    monkeypatch.setattr(live, "decide", lambda *_: BACK)
    records = read(folder.ledger)
    append(folder.ledger, records[-1].model_copy(update={"note": "of somebody else"}))
    rollout.look(records, DESIRED, None, (), "")
    assert read(folder.ledger)[-1].note == "of somebody else"
    assert rollout.in_force(records) == records[-1]
    rollout.close()


def test_a_store_that_never_answers_delays_no_look(folder, monkeypatch):
    asked, go = Event(), Event()

    def hang(*_, **__):
        asked.set()
        go.wait()
        raise StoreError("it is gone")

    monkeypatch.setattr(feedback_reader, "exists", lambda _: True)
    monkeypatch.setattr(feedback_reader, "begin", hang)
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.0)
    records = read(folder.ledger)
    shadow = Decision("shadow", None, 0, "", "ready", False)
    append(folder.ledger, recorded(progress(records), shadow, Observation(time(), True)))
    rollout = live.LiveRollout(folder)
    rollout.look(read(folder.ledger), DESIRED, None, (), "")
    assert asked.wait(WAIT)
    before = read_told(folder.root).time
    rollout.look(read(folder.ledger), DESIRED, None, (), "")
    assert read_told(folder.root).time > before
    append(folder.ledger, requested(read(folder.ledger), "abort", by="test"))
    rollout.look(read(folder.ledger), DESIRED, None, (), "")
    assert read(folder.ledger)[-1].rollout.state == "rolled_back"
    go.set()
    rollout.close()
    for thread in threading.enumerate():
        if thread.name == "feedback":
            thread.join()
