"""The rollout's state machine, as a specification: given, when, then."""

import pytest

from openautoglm.rollout.plan import least_seconds, most_seconds
from tests.support.rollout import (
    DAY,
    NEW,
    OLD,
    PLACES,
    START,
    STEP,
    WEEK,
    Rollout,
    at_place,
    settings,
    verdicts,
)

GOOD, UNDECIDED, WORSE = verdicts(), verdicts("undecided"), verdicts(slow="worse")


def shares(rollout):
    return rollout.last.weights.get("challenger"), rollout.last.shadow


# A good challenger


def test_a_good_challenger_goes_through_every_weight_and_is_promoted():
    rollout = Rollout()
    assert rollout.run(STEP, evidence=GOOD) == ["pending", *PLACES, "promoting", "promoted"]
    assert [(one.weights.get("challenger"), one.shadow) for one in rollout.records[1:]] == [
        (0, 0),
        (0, 10),
        (5, 0),
        (25, 0),
        (50, 0),
        (100, 0),
        (None, 0),
    ]
    assert rollout.last.releases == {"champion": NEW}
    assert rollout.last.weights == {"champion": 100}
    assert rollout.last.owner == ""


def test_until_its_end_the_rollout_owns_the_weights_and_both_releases_are_named():
    rollout = Rollout()
    rollout.run(STEP, evidence=GOOD)
    for record in rollout.records[1:-1]:
        assert record.owner == "rollout 1"
        assert record.releases == {"champion": OLD, "challenger": NEW}


def test_without_copies_the_first_weight_comes_first():
    rollout = Rollout(shadow={"percent": 0}, steps=[10])
    assert rollout.run(STEP, evidence=GOOD) == ["pending", "canary 1", "promoting", "promoted"]


def test_nothing_is_sent_before_the_challenger_is_ready():
    rollout = Rollout()
    assert rollout.look(599, in_force=False, evidence=GOOD) is None
    assert rollout.where == "pending"


def test_a_weight_stays_for_its_time_even_when_the_evidence_is_there():
    rollout = at_place("canary 1")
    assert rollout.look(STEP - 1, evidence=GOOD) is None
    assert rollout.look(1, evidence=GOOD)
    assert rollout.where == "canary 2"


def test_it_takes_no_less_than_the_formula_says():
    rollout = Rollout()
    rollout.look(0)
    ready = rollout.now
    while rollout.where != "promoting":
        rollout.look(10, evidence=GOOD)
    assert rollout.now - ready == least_seconds(settings())


def test_the_promotion_waits_until_all_requests_have_moved():
    rollout = at_place("promoting")
    assert rollout.look(in_force=False) is None
    rollout.look(in_force=True)
    assert rollout.where == "promoted"


# A bad one


@pytest.mark.parametrize("place", [*PLACES, "promoting"])
def test_one_worse_metric_takes_everything_back_at_once(place):
    rollout = at_place(place)
    decision = rollout.look(0.1, in_force=False, evidence=WORSE, missing={"no labels": 1})
    assert decision.routes_first
    assert "slow" in rollout.progress.reason
    assert rollout.is_back


@pytest.mark.parametrize("place", PLACES)
def test_also_while_it_is_held(place):
    rollout = at_place(place)
    rollout.ask("hold")
    rollout.look()
    assert rollout.where == f"held {place}: person"
    rollout.look(evidence=WORSE)
    assert rollout.is_back


def test_the_evidence_of_a_rollback_is_in_the_ledger():
    rollout = at_place("canary 1")
    rollout.look(evidence=WORSE)
    assert rollout.last.rollout.evidence == WORSE


# Missing and undecided


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "what",
    [
        *("no traffic", "no labels", "telemetry is down", "the router is down"),
        "the challenger has no ready replica",
    ],
)
def test_what_is_missing_for_a_minute_holds_it_and_is_told(place, what):
    rollout = at_place(place)
    before = shares(rollout)
    assert rollout.look(59, missing={what: 59}, evidence=GOOD) is None
    rollout.look(1, missing={what: 60}, evidence=GOOD)
    assert rollout.where == f"held {place}: missing"
    assert what in rollout.progress.reason
    assert rollout.last.rollout.missing == (what,)
    assert shares(rollout) == before


def test_it_goes_on_by_itself_where_it_was_when_nothing_is_missing():
    rollout = at_place("canary 2")
    rollout.look(100, missing={"no traffic": 100})
    rollout.look(5000)
    assert rollout.where == "canary 2"
    assert rollout.progress.seconds_here(rollout.now) == 100


def quiet(rollout, gap, until):
    """Requests with gaps between them, till some time; what was decided meanwhile."""
    found = []
    while rollout.now < until:
        for silent in range(1, gap + 1):
            gone = {"no requests": silent} if silent >= 60 and silent < gap else {}
            if rollout.look(1, missing=gone, evidence=UNDECIDED):
                found.append(rollout.where)
    return found


def test_requests_that_come_seldom_hold_it_once_and_not_with_each_of_them():
    rollout = at_place("canary 1")
    found = quiet(rollout, 300, rollout.now + 6 * 3600)
    assert found == ["held canary 1: missing", "canary 1"]
    assert rollout.progress.patience == 600


@pytest.mark.parametrize(("place", "deadline"), [("canary 1", DAY), ("shadow", 3600)])
def test_what_comes_and_goes_holds_it_some_ten_times_before_a_deadline_at_most(place, deadline):
    """However the pauses lie: each is as long as its patience makes worst."""
    rollout, holds = at_place(place), 0
    while rollout.progress.seconds_here(rollout.now) < deadline:
        rollout.look(rollout.progress.patience, missing={"no requests": rollout.progress.patience})
        holds += "missing" in rollout.where
        rollout.look(1, evidence=UNDECIDED)
    assert holds <= 10 + 8


def test_silence_is_told_within_a_tenth_of_the_deadline_whatever_was_before():
    rollout = at_place("canary 1")
    rollout.look(60, missing={"no requests": 60})
    rollout.look(DAY, evidence=UNDECIDED)
    assert rollout.where == "canary 1"
    assert rollout.look(8639, missing={"no requests": 8639}) is None
    rollout.look(1, missing={"no requests": 8640})
    assert rollout.where == "held canary 1: missing"


def test_while_something_is_missing_nothing_goes_on_held_or_not():
    rollout = at_place("canary 1")
    rollout.look(60, missing={"no requests": 60})
    rollout.look(3600, evidence=UNDECIDED)
    assert rollout.look(STEP, missing={"no requests": 61}, evidence=GOOD) is None
    rollout.look(1, evidence=GOOD)
    assert rollout.where == "canary 2"


def test_what_is_missing_for_a_moment_only_delays():
    rollout = at_place("canary 1")
    assert rollout.look(STEP, missing={"no traffic": 1}, evidence=GOOD) is None
    rollout.look(1, evidence=GOOD)
    assert rollout.where == "canary 2"


@pytest.mark.parametrize("undecided", ["hold", "abort", "continue"])
def test_no_evidence_at_all_never_promotes(undecided):
    rollout = Rollout(undecided=undecided)
    found = rollout.run(8 * DAY)
    assert found[-1] == "rolled_back"
    assert "promoting" not in found


@pytest.mark.parametrize("undecided", ["hold", "abort", "continue"])
def test_a_metric_nobody_measures_never_promotes(undecided):
    rollout = Rollout(undecided=undecided, metrics={"accuracy": {}})
    assert "promoting" not in rollout.run(8 * DAY, evidence=GOOD)
    assert rollout.is_back


@pytest.mark.parametrize(
    ("undecided", "place", "then"),
    [
        ("hold", "canary 1", "held canary 1: undecided"),
        ("abort", "canary 1", "rolled_back"),
        ("continue", "canary 1", "canary 2"),
        ("continue", "shadow", "canary 1"),
        ("continue", "canary 3", "held canary 3: undecided"),
    ],
)
def test_a_deadline_without_a_verdict(undecided, place, then):
    rollout = at_place(place, undecided=undecided, deadline={"shadow": 900, "step": 900})
    assert rollout.look(899, evidence=UNDECIDED) is None
    rollout.look(1, evidence=UNDECIDED)
    assert rollout.where == then


def test_a_deadline_is_not_passed_over_while_something_is_missing():
    rollout = at_place("canary 1", undecided="continue")
    rollout.look(DAY, evidence=UNDECIDED, missing={"no labels": 1})
    assert rollout.where == "held canary 1: missing"


def test_routes_that_are_not_in_force_hold_it_at_a_deadline_until_they_are():
    rollout = at_place("canary 1")
    rollout.look(DAY, evidence=GOOD, in_force=False)
    assert rollout.where == "held canary 1: missing"
    assert rollout.look(evidence=GOOD, in_force=False) is None
    assert rollout.run(evidence=GOOD)[1:3] == ["canary 1", "canary 2"]


def test_a_verdict_that_comes_late_ends_the_waiting():
    rollout = at_place("canary 1")
    rollout.look(DAY, evidence=UNDECIDED)
    rollout.look(DAY, evidence=GOOD)
    assert rollout.where == "canary 2"


def test_the_words_say_how_much_would_decide():
    few = verdicts("undecided")
    few["errors"] = few["errors"].model_copy(update={"needed": 4000})
    rollout = at_place("canary 1")
    rollout.look(DAY, evidence=few)
    assert "errors: undecided (4000 more would decide)" in rollout.progress.reason


def test_a_split_that_does_not_fit_is_an_alarm():
    rollout = at_place("canary 1")
    rollout.look(evidence=GOOD, mismatch="9 % of the requests where 5 % were asked for")
    assert rollout.where == "held canary 1: mismatch"
    assert rollout.look(DAY, evidence=GOOD) is None
    rollout.ask("resume")
    rollout.look(evidence=GOOD)
    assert rollout.where == "canary 1"


def test_nobody_comes_for_a_week_and_it_is_rolled_back():
    rollout = at_place("canary 2")
    rollout.ask("hold")
    rollout.look()
    assert rollout.look(WEEK - 1) is None
    rollout.look(1)
    assert rollout.is_back


def test_a_challenger_that_is_never_ready_is_taken_back():
    rollout = Rollout()
    rollout.look(600, in_force=False)
    assert rollout.is_back
    assert "not ready" in rollout.progress.reason


def test_requests_that_cannot_move_are_taken_back():
    rollout = at_place("promoting")
    rollout.look(600, in_force=False)
    assert rollout.is_back


def test_holds_that_come_and_go_cannot_go_on_forever():
    rollout = Rollout()
    begun, keys = START, settings()
    while not rollout.progress.ended:
        rollout.look(3600, missing={"no traffic": 3600})
        rollout.look(3600, evidence=UNDECIDED)
        assert rollout.now - begun <= most_seconds(keys) + 50 * 3600
    assert rollout.is_back


# Who must agree


def test_a_person_must_agree():
    rollout = at_place("held canary 3: confirm", confirm="person")
    assert rollout.look(evidence=GOOD, confirmed=True) is None
    rollout.ask("promote", by="li")
    rollout.look(evidence=GOOD)
    assert rollout.where == "promoting"
    assert rollout.last.by == "li"


def test_a_url_must_agree():
    rollout = at_place("held canary 3: confirm", confirm="http://gate.example/")
    assert rollout.look(evidence=GOOD) is None
    rollout.look(evidence=GOOD, confirmed=True)
    assert rollout.where == "promoting"


def test_who_agrees_cannot_replace_evidence():
    rollout = at_place("held canary 3: confirm", confirm="http://gate.example/")
    assert rollout.look(evidence=UNDECIDED, confirmed=True) is None
    assert rollout.look(evidence=GOOD, confirmed=True, missing={"no traffic": 1}) is None


def test_nobody_agrees_for_a_week_and_it_is_rolled_back():
    rollout = at_place("held canary 3: confirm", confirm="person")
    rollout.look(WEEK, evidence=GOOD)
    assert rollout.is_back


# At once, to undo a promotion


def test_at_once_goes_through_the_same_records_without_evidence():
    rollout = Rollout(immediate=True)
    assert rollout.run() == ["pending", "promoting", "promoted"]
    assert all(one.rollout.forced for one in rollout.records[1:])


def test_at_once_still_waits_for_ready_replicas():
    rollout = Rollout(immediate=True)
    assert rollout.look(in_force=False) is None
    rollout.look(600, in_force=False)
    assert rollout.is_back


# The clock


def test_a_clock_that_goes_back_ends_no_wait_and_time_counts_on_from_there():
    rollout = at_place("canary 1")
    rollout.look(200, evidence=UNDECIDED, missing={"no traffic": 60})
    rollout.look(evidence=UNDECIDED)
    assert rollout.progress.seconds_here(rollout.now) == 200
    rollout.look(-100_000, evidence=GOOD)
    assert rollout.where == "canary 1"
    assert "the clock went back by 100000 s" in rollout.last.note
    assert rollout.look(99, evidence=GOOD) is None
    rollout.look(1, evidence=GOOD)
    assert rollout.where == "canary 2"


def test_a_clock_that_goes_back_a_little_is_no_event():
    rollout = at_place("canary 1")
    assert rollout.look(-5, evidence=GOOD) is None
