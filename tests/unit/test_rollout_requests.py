"""What people ask of a rollout, and what the ledger tells of it."""

import pytest

from openautoglm.deploy.ledger import Record
from openautoglm.errors import BusyError, ConfigError
from openautoglm.rollout.plan import requested, started
from openautoglm.rollout.state import progress
from tests.support.rollout import (
    DAY,
    DEPLOYED,
    NEW,
    OLD,
    PLACES,
    STEP,
    Rollout,
    at_place,
    release,
    settings,
    verdicts,
)

GOOD, UNDECIDED, WORSE = verdicts(), verdicts("undecided"), verdicts(slow="worse")


@pytest.mark.parametrize("place", ["pending", *PLACES, "promoting"])
def test_abort_takes_everything_back(place):
    rollout = at_place(place)
    rollout.ask("abort", by="li")
    rollout.look(in_force=False)
    assert rollout.is_back
    assert rollout.last.by == "li"


def test_a_person_need_not_wait_for_the_other_weights():
    rollout = at_place("canary 1")
    rollout.ask("promote", by="li")
    rollout.look(evidence=GOOD)
    assert rollout.where == "promoting"
    assert rollout.last.by == "li"
    assert not rollout.last.rollout.forced


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"evidence": UNDECIDED}, "errors: undecided"),
        ({}, "errors: nothing to compare"),
        ({"evidence": GOOD, "missing": {"no labels": 1}}, "no labels"),
        ({"evidence": GOOD, "mismatch": "9 % for 5 %"}, "9 % for 5 %"),
        ({"evidence": GOOD, "in_force": False}, "not in force"),
    ],
)
def test_a_promotion_without_evidence_is_refused_with_the_reason(seen, why):
    rollout = at_place("canary 1")
    rollout.ask("promote")
    rollout.look(**seen)
    assert rollout.where == "canary 1"
    assert rollout.last.note.startswith("refused to promote")
    assert why in rollout.last.note
    assert rollout.progress.asked is None


def test_a_promotion_of_a_worse_one_rolls_it_back():
    rollout = at_place("canary 1")
    rollout.ask("promote")
    rollout.look(evidence=WORSE)
    assert rollout.is_back


def test_a_forced_promotion_overrules_everything_and_is_recorded_as_theirs():
    rollout = at_place("canary 1")
    rollout.ask("promote", forced=True, by="li")
    rollout.look(evidence=WORSE, mismatch="9 % for 5 %")
    assert rollout.where == "promoting"
    assert rollout.last.by == "li"
    assert rollout.last.rollout.forced
    assert rollout.last.rollout.evidence == WORSE
    rollout.look(evidence=WORSE)
    assert rollout.where == "promoted"
    assert rollout.last.rollout.forced


def test_even_a_forced_promotion_can_be_aborted():
    rollout = at_place("canary 1")
    rollout.ask("promote", forced=True)
    rollout.look()
    rollout.ask("abort")
    rollout.look()
    assert rollout.is_back


def test_hold_keeps_the_weights_and_resume_counts_the_time_anew():
    rollout = at_place("canary 2")
    rollout.ask("hold", by="li")
    rollout.look(evidence=GOOD)
    assert rollout.where == "held canary 2: person"
    assert rollout.last.weights == {"champion": 75, "challenger": 25}
    assert rollout.look(DAY, evidence=GOOD) is None
    rollout.ask("resume", by="wu")
    rollout.look(evidence=GOOD)
    assert rollout.where == "canary 2"
    assert rollout.last.by == "wu"
    assert rollout.look(STEP - 1, evidence=GOOD) is None
    rollout.look(1, evidence=GOOD)
    assert rollout.where == "canary 3"


def test_a_person_s_hold_has_a_week_of_its_own():
    rollout = at_place("canary 1")
    rollout.look(60, missing={"no traffic": 60})
    rollout.look(6 * DAY, missing={"no traffic": 6 * DAY})
    rollout.ask("hold")
    rollout.look()
    assert rollout.look(6 * DAY) is None
    rollout.look(DAY)
    assert rollout.is_back


@pytest.mark.parametrize(
    ("place", "wish", "said"),
    [
        ("canary 1", "resume", "it is not held"),
        ("promoting", "hold", "it is being promoted"),
        ("promoting", "promote", "it is being promoted"),
        ("pending", "promote", "nothing to compare"),
    ],
)
def test_what_cannot_be_done_now_is_refused_with_the_reason(place, wish, said):
    rollout = at_place(place)
    rollout.ask(wish)
    rollout.look(in_force=False)
    assert rollout.where == place
    assert said in rollout.last.note


def test_of_two_requests_the_later_one_counts_but_nothing_comes_after_an_abort():
    rollout = at_place("canary 1")
    rollout.ask("promote", forced=True)
    rollout.ask("hold")
    rollout.look()
    assert rollout.where == "held canary 1: person"
    rollout.ask("abort")
    rollout.ask("resume")
    rollout.look()
    assert rollout.is_back


def test_a_request_changes_no_route():
    rollout = at_place("canary 2")
    before = rollout.last
    rollout.ask("hold")
    for part in ("releases", "weights", "shadow", "owner"):
        assert getattr(rollout.last, part) == getattr(before, part)


# Starting, and what the ledger tells


def test_the_first_record_keeps_the_settings_for_the_whole_rollout():
    rollout = Rollout(steps=[7], confirm="person")
    first = rollout.last.rollout
    assert first.settings == settings(steps=[7], confirm="person")
    assert first.data == "sha256-d"
    rollout.look()
    assert rollout.last.rollout.settings is None
    assert rollout.last.rollout.settings_digest == first.settings_digest
    assert rollout.progress.settings == first.settings


def test_rollouts_of_a_service_are_numbered():
    rollout = Rollout()
    rollout.ask("abort")
    rollout.look()
    again = started(rollout.records, release("3"), settings(), by="me")
    assert again.rollout.id == 2
    assert again.owner == "rollout 2"
    assert progress([*rollout.records, again]).state == "pending"


def test_one_at_a_time():
    with pytest.raises(BusyError, match="rollout 1 is open"):
        started(Rollout().records, release("3"), settings(), by="me")


@pytest.mark.parametrize("records", [[], [DEPLOYED, Record(kind="delete", by="me")]])
def test_nothing_can_be_rolled_out_where_nothing_is_served(records):
    with pytest.raises(ConfigError, match="nothing is deployed"):
        started(records, NEW, settings(), by="me")


def test_what_serves_already_cannot_be_rolled_out():
    with pytest.raises(ConfigError, match="version 1 already"):
        started([DEPLOYED], OLD, settings(), by="me")


def test_nothing_can_be_asked_of_a_rollout_that_is_not_open():
    rollout = Rollout()
    rollout.ask("abort")
    rollout.look()
    for records in ([DEPLOYED], rollout.records):
        with pytest.raises(ConfigError, match="no rollout is open"):
            requested(records, "hold", by="me")


def test_only_a_promotion_can_be_forced():
    with pytest.raises(ConfigError, match="only a promotion"):
        requested(Rollout().records, "abort", by="me", forced=True)


@pytest.mark.parametrize("record", [DEPLOYED, Record(kind="delete", by="me")])
def test_any_other_decision_ends_what_the_ledger_says_of_it(record):
    rollout = at_place("canary 1")
    assert progress([*rollout.records, record]) is None


def test_after_its_end_nothing_is_decided():
    rollout = Rollout()
    rollout.run(STEP, evidence=GOOD)
    assert rollout.look(DAY, evidence=WORSE) is None
