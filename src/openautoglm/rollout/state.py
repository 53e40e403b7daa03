"""Where a rollout stands: a pure fold over the ledger's records, so that nothing else is kept.

Time is the sum of what passed between records, never less than nothing: a clock that was set back
cannot undo a wait, and one that was set forward can only bring a deadline nearer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release
from openautoglm.deploy.rollout_record import Cause, Measured, Place, RolloutRecord, State, Wish

_PLACES: dict[State, Place] = {
    "pending": "pending",
    "shadow": "shadow",
    "canary": "canary",
    "promoting": "promoting",
}
_HOLDS = 10
"""Patience grows to this part of a place's deadline, so it is held about as often at most for what
comes and goes."""


@dataclass(frozen=True)
class Asked:
    """A person's request that has not been answered.

    Attributes:
        wish: What is asked for.
        by: Who asks.
        forced: A promotion whatever the evidence says.
    """

    wish: Wish
    by: str
    forced: bool = False


@dataclass(frozen=True)
class Progress:
    """Where a rollout stands after the ledger's last record.

    Attributes:
        id: Its number.
        settings: Those it started with, and keeps.
        champion: What served before it.
        challenger: What is to serve after it.
        data: Digest of the data the challenger was made from.
        state: What it does.
        back: While held, where it was.
        step: Which of the settings' weights, from 1; 0 before the first one.
        cause: While held, what for.
        reason: Why it is in this state.
        forced: A person overrules the evidence.
        elapsed: Seconds at this place up to `at`, without those held.
        held: Seconds held at this place up to `at`.
        at: When the last record was written, seconds since 1970.
        patience: Seconds that something may be missing before the rollout is held for it.
        settled: By metric, what pairs of answers have shown in the shadow to be no worse, where
            the settings say that this is enough.
        asked: What a person asks for.
    """

    id: int
    settings: RolloutSettings
    champion: Release
    challenger: Release
    data: str
    state: State
    back: Place | None
    step: int
    cause: Cause
    reason: str
    forced: bool
    elapsed: float
    held: float
    at: float
    patience: float
    settled: Mapping[str, Measured] = field(default_factory=dict, hash=False)
    asked: Asked | None = None

    @property
    def ended(self) -> bool:
        """Whether it is promoted or rolled back."""
        return self.state in ("promoted", "rolled_back")

    @property
    def place(self) -> Place | None:
        """Where it is, held or not; None at its end."""
        return self.back if self.state == "held" else _PLACES.get(self.state)

    def seconds_here(self, now: float) -> float:
        """Time at this place, without what it was held."""
        return self.elapsed + (0 if self.state == "held" else max(0.0, now - self.at))

    def seconds_held(self, now: float) -> float:
        """Time it was held at this place."""
        return self.held + (max(0.0, now - self.at) if self.state == "held" else 0)


def progress(records: Iterable[Record]) -> Progress | None:
    """The rollout that the last record belongs to, open or just ended; None when it is of none.

    Args:
        records: Of one service's ledger, the first one first.
    """
    found: Progress | None = None
    for record in records:
        found = follow(found, record)
    return found


def follow(before: Progress | None, record: Record) -> Progress | None:
    """Where it stands after one more record; whatever else is decided ends it."""
    if record.kind == "request" and record.request and before and not before.ended:
        return _asked(before, record) if record.request.id == before.id else before
    if record.kind != "rollout" or record.rollout is None:
        return None
    if before is None or before.id != record.rollout.id:
        return _first(record)
    return _next(before, record)


def _first(record: Record) -> Progress | None:
    told = record.rollout
    challenger = record.releases.get("challenger")
    if told is None or told.settings is None or challenger is None:
        return None  # the rest of a ledger whose beginning was taken out
    return Progress(
        id=told.id,
        settings=told.settings,
        champion=record.releases["champion"],
        challenger=challenger,
        data=told.data,
        state=told.state,
        back=told.back,
        step=told.step,
        cause=told.cause,
        reason=told.reason,
        forced=told.forced,
        elapsed=0.0,
        held=0.0,
        at=_seconds(record.time),
        patience=told.settings.missing_seconds,
    )


def _asked(before: Progress, record: Record) -> Progress:
    """Who asks last is heard; but after an abort nobody goes on."""
    assert record.request is not None
    now = _seconds(record.time)
    aside = before.asked if before.asked and before.asked.wish == "abort" else None
    return replace(
        before,
        elapsed=before.seconds_here(now),
        held=before.seconds_held(now),
        at=now,
        asked=aside or Asked(record.request.wish, record.by, record.request.forced),
    )


def _next(before: Progress, record: Record) -> Progress:
    told, now = record.rollout, _seconds(record.time)
    assert told is not None
    after = replace(
        before,
        settled=before.settled or _settled(before, told),
        state=told.state,
        back=told.back,
        step=told.step,
        cause=told.cause,
        reason=told.reason,
        forced=told.forced,
        elapsed=before.seconds_here(now),
        held=before.seconds_held(now),
        at=now,
        patience=_patience(before, after=told.state, now=now),
        asked=None,
    )
    if (after.place, after.step) != (before.place, before.step):
        return replace(after, elapsed=0.0, held=0.0)
    resumed = before.state == "held" and after.state != "held"
    if before.asked and resumed:
        return replace(after, elapsed=0.0, held=0.0)
    return replace(after, held=0.0) if before.asked else after


def _settled(before: Progress, told: RolloutRecord) -> Mapping[str, Measured]:
    """What needs no evidence after the shadow.

    Whether an answer is right does not depend on whose request it was, so pairs of answers speak
    for what comes later; errors and times depend on the load, and are compared again.
    """
    accuracy, seen = before.settings.metrics.accuracy, told.evidence.get("accuracy")
    beyond = before.place == "shadow" and told.state == "canary"
    if not (beyond and accuracy and accuracy.shadow_decides and seen):
        return {}
    if seen.verdict != "no_worse":
        return {}
    return {"accuracy": seen.model_copy(update={"rule": f"{seen.rule}, in the shadow"})}


def _patience(before: Progress, *, after: State, now: float) -> float:
    """What came back by itself is waited for twice as long as it was away.

    So sparse traffic fills no ledger; and silence is told within a tenth of the deadline.
    """
    came_back = before.state == "held" and before.cause == "missing" and after == before.back
    if before.asked or not came_back:
        return before.patience
    deadline = before.settings.deadline
    most = (deadline.shadow if before.back == "shadow" else deadline.step) / _HOLDS
    away = before.patience + max(0.0, now - before.at)
    return max(before.patience, min(2 * away, most))


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
