"""What a rollout is told by its evidence: when to go on, when to go back, and what is missing."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from openautoglm.errors import ConfigError, DataError
from openautoglm.rollout.analysis.comparison import Comparison
from openautoglm.rollout.analysis.evidence import ERRORS, SLOW, WRONG, Metric, judged
from openautoglm.rollout.analysis.looks import Look, Values
from openautoglm.rollout.verdict import Verdict

CONFIDENCE = Metric("confidence", "mean", "requests", tolerance=0.0, margin=0.02)
AGREEMENT = Metric("agreement", "agreement", "requests", tolerance=0.1, margin=0.15)
PAIRS = Metric("wrong", "pairs", "labels", tolerance=0.0, margin=0.025)


def only(comparison):
    (found,) = comparison.evidence()
    return found


def look_at(metric, times, *looks):
    comparison = Comparison([metric])
    for _ in range(times):
        for look in looks:
            comparison.add(metric.name, look)
    return only(comparison)


def test_nothing_seen_is_undecided_and_nobody_can_say_for_how_long():
    for found in Comparison([ERRORS, SLOW, WRONG, CONFIDENCE, AGREEMENT]).evidence():
        assert found.verdict is Verdict.UNDECIDED
        assert found.needed is None
        assert found.value0 is found.value1 is found.difference is None
        assert (found.log_worse, found.log_no_worse) == (0, 0)


def test_a_champion_alone_or_a_challenger_alone_is_no_comparison():
    for look in (Look(10_000, 0, 100, 0), Look(0, 10_000, 0, 5000)):
        found = look_at(ERRORS, 5, look)
        assert found.verdict is Verdict.UNDECIDED
        assert found.needed is None


def test_more_errors_are_worse_and_equal_ones_are_no_worse():
    worse = look_at(ERRORS, 40, Look(90, 10, 1, 0), Look(90, 10, 1, 1))
    assert worse.verdict is Verdict.WORSE
    assert (worse.n0, worse.n1, worse.needed, worse.unit) == (7200, 800, 0, "requests")
    assert worse.value1 == pytest.approx(0.05)
    same = look_at(ERRORS, 200, Look(100, 100, 1, 1))
    assert same.verdict is Verdict.NO_WORSE
    assert same.low < same.difference == 0 < same.high < 0.01


def test_a_challenger_that_always_fails_is_found_within_a_few_requests():
    found = look_at(ERRORS, 4, Look(95, 5, 1, 5))
    assert found.verdict is Verdict.WORSE


def test_within_the_tolerance_is_not_worse():
    tolerant = dataclasses.replace(ERRORS, tolerance=0.02, margin=0.05)
    looks = Look(100, 100, 1, 3), Look(100, 100, 1, 2)
    assert look_at(ERRORS, 100, *looks).verdict is Verdict.WORSE
    assert look_at(tolerant, 100, *looks).verdict is Verdict.NO_WORSE
    assert look_at(tolerant, 100, Look(100, 100, 1, 12)).verdict is Verdict.WORSE


@pytest.mark.parametrize(
    ("metric", "look"),
    [
        (ERRORS, Look(100, 100, 1, 1)),
        (WRONG, Look(50, 50, 5, 5)),
        (PAIRS, Look(50, 50, 2, 2)),
        (ERRORS, Look(100, 100, 1, 2)),
        (AGREEMENT, Look(0, 100, 0, 12)),
        (CONFIDENCE, Values(50, 50, 40, 40, 33, 33)),
    ],
)
def test_about_as_much_as_it_says_is_needed_then_decides(metric, look):
    comparison = Comparison([metric])
    for _ in range(10):
        comparison.add(metric.name, look)
    told = only(comparison)
    assert told.verdict is Verdict.UNDECIDED
    assert told.needed
    while only(comparison).verdict is Verdict.UNDECIDED:
        comparison.add(metric.name, look)
    took = only(comparison).n1 - told.n1
    assert 0.5 * told.needed < took < 2 * told.needed


def test_a_paired_comparison_counts_only_answers_that_differ():
    worse = look_at(PAIRS, 10, Look(100, 100, 1, 5))
    assert worse.verdict is Verdict.WORSE
    assert worse.difference == pytest.approx(0.04)
    assert worse.low < 0.04 < worse.high
    assert look_at(PAIRS, 50, Look(100, 100, 2, 2)).verdict is Verdict.NO_WORSE


def test_confidence_that_falls_is_worse():
    fallen = look_at(CONFIDENCE, 100, Values(50, 50, 40, 37, 33, 29))
    assert fallen.verdict is Verdict.WORSE
    assert fallen.high < 0
    assert fallen.difference == pytest.approx(-0.06)
    risen = look_at(CONFIDENCE, 100, Values(50, 50, 40, 41, 33, 34))
    assert risen.verdict is Verdict.NO_WORSE


def test_agreement_has_one_arm():
    found = look_at(AGREEMENT, 100, Look(0, 50, 0, 2))
    assert found.verdict is Verdict.NO_WORSE
    assert (found.n0, found.n1, found.value0) == (0, 5000, None)
    assert found.high < 0.15
    assert look_at(AGREEMENT, 100, Look(0, 50, 0, 10)).verdict is Verdict.WORSE


def test_alpha_is_divided_over_the_metrics():
    alone, together = Comparison([ERRORS]), Comparison([ERRORS, SLOW, WRONG])
    assert together.threshold == pytest.approx(alone.threshold + np.log(3))


def test_one_request_a_look_is_as_good_as_a_hundred():
    rng = np.random.default_rng(2)
    seldom, often = Comparison([ERRORS]), Comparison([ERRORS])
    for _ in range(60):
        events = rng.random(100) < np.where(np.arange(100) < 90, 0.01, 0.10)
        order = rng.permutation(100)
        for request in order:
            challenger = int(request >= 90)
            event = int(events[request])
            often.add(
                "errors",
                Look(1 - challenger, challenger, event * (1 - challenger), event * challenger),
            )
        seldom.add("errors", Look(90, 10, events[:90].sum(), events[90:].sum()))
    assert only(often).verdict is only(seldom).verdict is Verdict.WORSE
    assert only(often).n1 == only(seldom).n1


def test_what_waits_is_judged_when_the_weights_change():
    comparison = Comparison([ERRORS])
    comparison.add("errors", Look(5, 5, 0, 5))
    assert only(comparison).n1 == 0
    comparison.cut()
    assert only(comparison).n1 == 5
    assert only(comparison).log_worse > 0


@pytest.mark.parametrize(
    ("metric", "look"),
    [
        (ERRORS, Look(10, 10, 11, 0)),
        (ERRORS, Look(-1, 10, 0, 0)),
        (ERRORS, Look(float("nan"), 10, 0, 0)),
        (PAIRS, Look(10, 11, 0, 0)),
        (PAIRS, Look(10, 10, 6, 6)),
        (CONFIDENCE, Values(10, 10, 5, 5, 6, 3)),
        (CONFIDENCE, Look(10, 10, 5, 5)),
        (ERRORS, Values(10, 10, 5, 5, 5, 5)),
    ],
)
def test_what_cannot_be_counted_is_refused_and_nothing_changes(metric, look):
    comparison = Comparison([metric])
    before = comparison.state()
    with pytest.raises(DataError, match=metric.name):
        comparison.add(metric.name, look)
    assert comparison.state() == before


def test_settings_that_could_never_decide_are_refused():
    with pytest.raises(ConfigError, match="errors: tolerance"):
        dataclasses.replace(ERRORS, tolerance=0.01)
    with pytest.raises(ConfigError, match="same name"):
        Comparison([ERRORS, ERRORS])
    with pytest.raises(ConfigError, match="evidence is of errors"):
        Comparison([SLOW], state=Comparison([ERRORS]).state())


def test_evidence_can_be_written_down():
    comparison = Comparison([ERRORS, CONFIDENCE, AGREEMENT])
    comparison.add("errors", Look(100, 100, 1, 1))
    for found in comparison.evidence():
        assert json.loads(json.dumps(dataclasses.asdict(found)))["metric"] == found.metric
        assert "20" in found.method, "it names its paper"


def test_worse_comes_before_no_worse():
    assert judged(5.0, 5.0, 5.0) is Verdict.WORSE
    assert judged(4.9, 5.0, 5.0) is Verdict.NO_WORSE
    assert judged(4.9, 4.9, 5.0) is Verdict.UNDECIDED
