"""Which promotion the registry still has to follow."""

from __future__ import annotations

from openautoglm.deploy.ledger import Record
from openautoglm.deploy.rollout_record import RolloutRecord
from openautoglm.rollout.settling import promoted, since_delete
from tests.unit.test_rollout_gathering import release


def record(version, *, kind="deploy", state=None):
    told = state and RolloutRecord(id=3, state=state, reason="", settings_digest="")
    return Record(
        kind=kind,
        by="test",
        releases={} if kind == "delete" else {"champion": release(version)},
        weights={} if kind == "delete" else {"champion": 100},
        rollout=told,
    )


def test_the_last_promotion_counts_while_it_serves():
    first, done = record("1"), record("2", kind="rollout", state="promoted")
    assert promoted([]) is None
    assert promoted([first]) is None
    assert promoted([first, done]) == (3, release("2"), done.time)
    assert promoted([first, done, record("2", kind="weights")]) == (3, release("2"), done.time)
    assert promoted([first, done, record("1")]) is None
    assert promoted([first, done, record("", kind="delete")]) is None


def test_a_rollback_leaves_the_registry_alone():
    assert promoted([record("1"), record("1", kind="rollout", state="rolled_back")]) is None


def test_what_was_decided_before_a_delete_is_nobodys_any_more():
    first, done = record("1"), record("2", kind="rollout", state="promoted")
    gone, anew = record("", kind="delete"), record("1")
    assert since_delete([]) == []
    assert since_delete([first, done]) == [first, done]
    assert since_delete([first, done, gone]) == []
    assert since_delete([first, gone, done, gone, anew]) == [anew]
