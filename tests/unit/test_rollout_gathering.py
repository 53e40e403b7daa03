"""What a rollout knows between two looks: nothing counts twice, whoever was killed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.release import Release
from openautoglm.feedback.reading import Arm, Cursor, News
from openautoglm.rollout.gathering import gathered, keep, mismatch, take
from openautoglm.rollout.metrics import counted, labelled
from openautoglm.rollout.missing import missing
from openautoglm.rollout.state import Progress
from openautoglm.routing.counts import Counts, Look, Totals

EDGES = (0.1, 0.25, 0.5)
SETTINGS = RolloutSettings.model_validate(
    {"steps": [20, 50], "metrics": {"accuracy": {}}}, strict=False
)


def release(version):
    return Release(
        name="small",
        version=version,
        digest=f"sha256-{version}",
        family="glm",
        variant="fp32",
        origin=f"models:/small/{version}",
    )


def standing(state="canary", step=1, back=None):
    return Progress(
        id=1,
        settings=SETTINGS,
        champion=release("1"),
        challenger=release("2"),
        data="",
        state=state,
        back=back,
        step=step,
        cause="",
        reason="",
        forced=False,
        elapsed=0.0,
        held=0.0,
        at=1000.0,
        patience=60.0,
    )


def counts(requests, errors=0, slow=0):
    return Counts(requests=requests, errors=errors, timed=(requests,) * 3, slow=(slow, slow, 0))


def look(champion, challenger, *, lost=(), missing=()):
    variants = {release("1").key: champion, release("2").key: challenger}
    copies, copied = {release("2").key: counts(7)}, {release("1").key: counts(13)}
    return Look(variants, copies, missing, lost, Totals(), copied)


def seen(known):
    return {one.metric: (one.n0, one.n1, one.value1) for one in known.evidence}


def more(known, progress, one, now=1001.0, news=None, in_force=True):
    take(known, progress, one, news, now=now, in_force=in_force, edges=EDGES)


def test_a_successor_goes_on_exactly(tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "gathered.json"
    looks = [
        look(counts(80, int(rng.integers(3))), counts(20, int(rng.integers(3)))) for _ in range(30)
    ]
    whole = gathered(standing(), "canary", tmp_path / "none")
    parts = gathered(standing(), "canary", file)
    for one in looks:
        more(whole, standing(), one)
        more(parts, standing(), one)
        keep(file, parts)
        parts = replace(gathered(standing(), "canary", file), steady=parts.steady)
    assert seen(parts) == seen(whole)
    assert parts.comparison.state() == whole.comparison.state()
    assert parts.split.tolist() == whole.split.tolist()


def test_copies_are_compared_in_the_shadow_and_forgotten_afterwards(tmp_path):
    file = tmp_path / "gathered.json"
    known = gathered(standing("shadow", 0), "shadow", file)
    for _ in range(4):
        more(known, standing("shadow", 0), look(counts(100), Counts()))
    assert seen(known)["errors"][:2] == (52, 28)
    keep(file, known)
    later = gathered(standing(), "canary", file)
    assert seen(later)["errors"][:2] == (0, 0)
    assert later.totals == known.totals


def test_another_rollouts_file_or_a_damaged_one_is_left_out(tmp_path):
    file = tmp_path / "gathered.json"
    known = gathered(standing(), "canary", file)
    more(known, standing(), look(counts(40), counts(10)))
    keep(file, known)
    text = file.read_text()
    for damaged in ("", "{", text[:-20], text.replace('"id": 1', '"id": 2'), json.dumps([1])):
        file.write_text(damaged)
        assert seen(gathered(standing(), "canary", file))["errors"][:2] == (0, 0)


def test_a_wrong_split_is_an_alarm_and_looks_across_a_change_are_none(tmp_path):
    known = gathered(standing(), "canary", tmp_path / "none")
    for _ in range(3):
        more(known, standing(), look(counts(500), counts(500)), in_force=False)
    assert mismatch(known, standing()) == ""
    for _ in range(3):
        more(known, standing(), look(counts(500), counts(500)))
    assert "sample-ratio mismatch" in mismatch(known, standing())
    more(known, standing(step=2), look(counts(500), counts(500)))
    for _ in range(20):
        more(known, standing(step=2), look(counts(50), counts(50)))
    assert mismatch(known, standing(step=2)) == ""


@pytest.mark.parametrize(
    ("stage", "copied", "told"),
    [
        ("shadow", 0, ["requests come over gRPC only"]),
        ("shadow", 5, []),
        ("canary", 0, []),
    ],
)
def test_requests_whose_copies_nobody_counts_are_told_apart_from_none(
    stage, copied, told, tmp_path
):
    progress = standing(stage, 0 if stage == "shadow" else 1)
    known = gathered(progress, stage, tmp_path / "none")
    one = replace(look(counts(9), counts(0)), copies={}, copied={release("1").key: counts(copied)})
    more(known, progress, one, now=1100.0)
    found = missing(known, progress, problem="", silent=False, now=1100.0)
    about_requests = [why for why in found if "requests" in why]
    assert [why.partition(",")[0] for why in about_requests] == told
    later = missing(known, progress, problem="", silent=False, now=1160.0)
    assert bool(told) != ("no requests come in" in later)


def test_slow_answers_are_those_above_the_objective():
    found = counted(SETTINGS, EDGES, counts(10, slow=4), counts(20, slow=1))
    assert found["slow"] == (10, 20, 4, 1)
    assert found["errors"] == (10, 20, 0, 0)


@pytest.mark.parametrize(
    ("stage", "expected"), [("shadow", (3, 3, 1, 1)), ("canary", (2, 4, 1, 1))]
)
def test_labels_make_pairs_in_the_shadow_and_arms_in_the_canary(stage, expected):
    news = News(
        Cursor(0, 0, 0),
        Arm(wrong=(True, False)),
        Arm(wrong=(False, False, True, False)),
        wrong=((True, False), (False, True), (True, True)),
    )
    assert labelled(SETTINGS, stage, news)["accuracy"] == expected
