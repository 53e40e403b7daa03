"""The page that tells a rollout's decision: verdict first, and what is missing is said."""

import base64
import re
from dataclasses import replace
from html import unescape

import pytest

from openautoglm.deploy.rollout_record import Measured
from openautoglm.errors import InputError
from openautoglm.rollout.course import course, records_of
from openautoglm.rollout.points import Arm, Point, Weighed
from openautoglm.rollout.report import labels_that_decide, page
from openautoglm.rollout.wording import duration
from tests.support.rollout import START, Rollout, settings

WITH_LABELS = {"metrics": {"accuracy": {}}, "shadow": {"percent": 0}}
WORSE = Measured(
    verdict="worse",
    value=0.018,
    interval=(0.002, 0.034),
    n={"champion": 19_000, "challenger": 1007},
    rule="a test (its paper), alpha 0.0033",
    needed=0,
)
OPEN = Measured(verdict="undecided", n={"champion": 900, "challenger": 51}, needed=4210)


def read(text: str) -> str:
    """What a reader sees of a page, without its images."""
    return re.sub(
        r"\s+", " ", unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.S))
    )


def points(*, labelled: int = 0, agreement=None, drift=None) -> list[Point]:
    weighed = Weighed(0.0100, 0.0278, 6.1, -2.0, 5.7)
    return [
        Point(
            START + second,
            second,
            "canary",
            5,
            Arm(95 * second, second, 12.0, 48.0, 160.0, labelled, labelled // 10, 0.91),
            Arm(5 * second, second // 3, 13.0, 55.0, 240.0, labelled, labelled // 9, 0.89),
            agreement,
            drift,
            {"errors": weighed},
        )
        for second in range(10, 100, 10)
    ]


def rolled_back() -> Rollout:
    rollout = Rollout(**WITH_LABELS)
    rollout.look(30)
    rollout.look(210, evidence={"errors": WORSE, "accuracy": OPEN})
    return rollout


def test_the_verdict_comes_first_with_its_reason_and_who_decided():
    text = read(page("clc", rolled_back().records[1:], points()))
    verdict = text.index("rolled back : worse than the champion: errors")
    assert verdict < text.index("Evidence") < text.index("Course") < text.index("Settings")
    assert "decided by the rollout's own rule" in text
    assert "4 min after the start" in text


def test_champion_and_challenger_stand_beside_each_other_with_their_digests():
    text = read(page("clc", rolled_back().records[1:]))
    assert "version 1 2 digest sha256-1 sha256-2" in text
    assert "data – sha256-d" in text


def test_a_metric_has_values_counts_difference_interval_limits_verdict_and_method():
    text = read(page("clc", rolled_back().records[1:], points()))
    row = "errors 1.00 of 19,000 2.78 of 1,007 requests +1.80 [+0.20, +3.40] 0 0.5 worse"
    assert row in text
    assert "errors: a test (its paper), alpha 0.0033." in text


def test_what_is_not_decided_says_how_much_more_would():
    text = read(page("clc", rolled_back().records[1:]))
    assert "wrong answers – of 900 – of 51 labels – – 0 2.5 undecided 4,210 more labels" in text
    assert "51 labels do not decide" in text
    assert "4,210 more labels would decide" in text


def test_evidence_of_now_takes_the_place_of_the_ledgers_while_a_rollout_is_open():
    rollout = Rollout(**WITH_LABELS)
    rollout.look(30)
    text = read(page("clc", rollout.records[1:], evidence={"errors": WORSE}))
    assert "open, canary 5 % : the challenger is ready" in text
    assert "+1.80 [+0.20, +3.40]" in text


def test_without_labels_the_page_says_what_stands_in_and_how_many_would_decide():
    rollout = Rollout()
    found = page("clc", rollout.records[1:], points(agreement=0.9712, drift=0.031))
    text = read(found)
    assert "no labels were asked for" in text
    assert "agreement (the same answer to 97.12 % of the copied requests)" in text
    assert "confidence (champion 0.910, challenger 0.890) and prediction drift (Cramer's V" in text
    assert "0.031: 0 is alike, 1 nothing in common): they show whether the versions differ" in text
    assert re.search(r"About [\d,]+ labels of the challenger's answers would decide", text)


def test_labels_that_decided_need_nothing_in_their_place():
    rollout = Rollout(**WITH_LABELS)
    rollout.look(30)
    decided = OPEN.model_copy(update={"verdict": "no_worse"})
    text = read(page("clc", rollout.records[1:], points(), evidence={"accuracy": decided}))
    assert "stand" not in text


def test_more_wrong_answers_and_a_smaller_margin_need_more_labels():
    plain = settings(**WITH_LABELS)
    strict = settings(metrics={"accuracy": {"margin": 1}}, shadow={"percent": 0})
    assert 1000 < labels_that_decide(plain) < labels_that_decide(plain, 0.3) < 40_000
    assert labels_that_decide(strict) > labels_that_decide(plain)


def test_what_people_asked_and_what_held_it_are_in_the_course():
    rollout = Rollout(**WITH_LABELS)
    rollout.look(30)
    rollout.ask("hold", by="王芳")
    rollout.look(60)
    rollout.ask("promote", forced=True, by="王芳")
    rollout.look(60)
    rollout.look(1)
    text = read(page("分类服务", rollout.records[1:]))
    assert "Rollout 1 of 分类服务" in text
    assert "asked: hold" in text
    assert "held at canary 5 %: person" in text
    assert "asked: promote, whatever the evidence says" in text
    assert "promoted : a person overrules the evidence decided by 王芳" in text


def test_what_was_missing_is_told():
    rollout = Rollout(**WITH_LABELS)
    rollout.look(30)
    rollout.look(100, missing={"no labels": 100.0})
    text = read(page("clc", rollout.records[1:]))
    assert "held at canary 5 %: missing : no labels" in text
    assert "Missing: no labels" in text


def test_the_page_needs_no_other_file_and_its_curves_are_images_in_it():
    shown = points(labelled=30, agreement=0.9, drift=0.03)
    found = page("clc", rolled_back().records[1:], shown)
    sources = re.findall(r'src="([^"]*)"', found)
    images = [base64.b64decode(source.partition("base64,")[2]).decode() for source in sources]
    titles = re.findall(r'<img alt="([^"]*)"', found)
    assert titles == [
        "what the challenger gets, % of the requests",
        "errors, % of the requests",
        "latency, milliseconds",
        "accuracy on feedback, %",
        "agreement and confidence, %",
        "prediction drift: 0 is alike, 1 nothing in common",
        "evidence of errors, logarithm",
    ]
    assert all("<svg" in image for image in images)
    assert "href" not in found
    assert found == page("clc", rolled_back().records[1:], shown)


def test_without_enough_answers_no_drift_is_told_or_drawn():
    text = page("clc", rolled_back().records[1:], points(agreement=0.9))
    assert "drift" not in read(text)
    assert "prediction drift" not in text


def test_a_rollout_that_has_just_begun_has_a_page():
    text = read(page("clc", Rollout().records[1:]))
    assert "pending : waiting for the challenger" in text
    assert "No points were kept" in text
    assert "errors – of 0 – of 0 requests – – 0 0.5 undecided" in text


def test_points_without_any_traffic_or_with_gaps_are_drawn_as_far_as_they_go():
    idle = [Point(START + 10, 10, "canary", 5)]
    assert page("clc", Rollout().records[1:], idle)
    gaps = [replace(one, champion=Arm()) if one.seconds == 50 else one for one in points()]
    assert page("clc", Rollout().records[1:], gaps[:1])
    assert page("clc", Rollout().records[1:], gaps)


def test_a_rollouts_records_are_taken_from_a_ledger_that_has_others():
    rollout = rolled_back()
    assert records_of(rollout.records, 1) == rollout.records[1:]
    with pytest.raises(InputError, match="no rollout 7"):
        records_of(rollout.records, 7)
    with pytest.raises(InputError, match="first decision"):
        page("clc", rollout.records[2:])


def test_a_clock_that_was_set_back_makes_no_negative_times():
    rollout = Rollout(**WITH_LABELS)
    rollout.look(30)
    rollout.look(-1000)
    rollout.look(400, missing={"no labels": 100.0})
    steps = list(course(rollout.records[1:]))
    assert [step.after for step in steps] == sorted(step.after for step in steps)
    assert all(step.lasted is None or step.lasted >= 0 for step in steps)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "0 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86_400 * 3 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_durations_are_told_in_two_units(seconds, told):
    assert duration(seconds) == told
