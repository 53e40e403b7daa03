"""When drift begins a retraining: debounced, one at a time, never on too little data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from openautoglm.config.retrain import RetrainSettings
from openautoglm.drift.compare import Verdict
from openautoglm.registry.retraining_records import BEGUN, CLAIMED, ENDED, Look, Retraining

YES, NO = "yes", "no"
_HOUR = 3600.0


class Decision(NamedTuple):
    """Whether to retrain, `yes` or `no`, and why."""

    retrain: str
    reason: str


def decision(
    look: Look,
    looks: Sequence[Look],
    retrainings: Sequence[Retraining],
    data: str,
    known: Mapping[str, str],
    settings: RetrainSettings,
) -> Decision:
    """Whether it is time for a retraining; a function of what is recorded.

    Args:
        look: The look of now.
        looks: Looks beside the same reference, that of now among them or not, in any order.
        retrainings: Those of the model, in any order.
        data: Digest of the rows that a retraining would learn from.
        known: Digests of rows from which nothing new would come, and who has learned from them.
        settings: The rules.
    """
    others = [one for one in retrainings if one.run != look.run and one.state != CLAIMED]
    mine = next((one.state for one in retrainings if one.run == look.run), CLAIMED)
    if mine != CLAIMED:
        told = "has begun the retraining already" if mine == BEGUN else "had its retraining"
        return Decision(YES if mine == BEGUN else NO, f"this run {told}")
    if look.verdict != Verdict.DRIFT:
        return Decision(NO, f"{look.verdict}: {look.reason}")
    begun = next((one for one in others if _is_open(one, look.at, settings)), None)
    if begun:
        return Decision(NO, in_the_way(begun, look.at, settings))
    last = max(others, key=lambda one: one.at, default=None)
    streak = _streak([*looks, look], last.at if last else float("-inf"))
    if streak < settings.looks:
        told = f"drift in {streak} of {settings.looks} looks in a row"
        if not streak:
            told += "; this window was seen before the last retraining began"
        return Decision(NO, f"{told}: bring the next window")
    if data in known:
        return Decision(
            NO,
            f"there are no other rows to learn from than those of {known[data]}: bring newer ones",
        )
    if last and _is_recent(last, look.at, settings):
        return Decision(NO, in_the_way(last, look.at, settings))
    return Decision(YES, f"drift in {streak} looks in a row: {look.reason}")


def _streak(looks: Sequence[Look], since: float) -> int:
    """How many of the latest looks found drift, after the last retraining had begun.

    A window counts once, when it was first seen, and looks with too little data not at all.
    """
    streak, seen = 0, set[str]()
    for look in sorted(looks, key=lambda look: (look.at, look.run)):
        if look.window in seen or look.verdict == Verdict.TOO_LITTLE:
            continue
        seen.add(look.window)
        if look.verdict == Verdict.DRIFT:
            # What has begun a retraining once does not begin another one.
            streak += look.at > since
        else:
            streak = 0
    return streak


def blocks(one: Retraining, now: float, settings: RetrainSettings) -> bool:
    """Whether a retraining is in the way of another one: it is at work, or began recently."""
    return _is_open(one, now, settings) or _is_recent(one, now, settings)


def in_the_way(other: Retraining, now: float, settings: RetrainSettings) -> str:
    """A retraining that blocks others, in words."""
    hours = max(0.0, now - other.at) / _HOUR
    if _is_open(other, now, settings):
        word = "began" if other.state == BEGUN else "was about to begin"
        return f"another retraining {word} {hours:.1f} hours ago and has not ended: run {other.run}"
    wait = f"the next one may after {settings.cooldown_hours:g}"
    return f"the last retraining began {hours:.1f} hours ago; {wait}"


def _is_open(one: Retraining, now: float, settings: RetrainSettings) -> bool:
    return one.state != ENDED and now - one.at < settings.stale_hours * _HOUR


def _is_recent(one: Retraining, now: float, settings: RetrainSettings) -> bool:
    return one.state != CLAIMED and now - one.at < settings.cooldown_hours * _HOUR
