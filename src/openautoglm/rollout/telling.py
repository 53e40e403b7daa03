"""`rollout.json`: where an open rollout stands right now, for whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.artifacts.folder import write_text
from openautoglm.rollout.analysis.evidence import Evidence
from openautoglm.rollout.look import Look, lacking
from openautoglm.rollout.state import Progress


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Standing(_Seen):
    """One metric, in figures for people.

    Attributes:
        metric: Its name.
        verdict: So far.
        unit: What `n` counts.
        n: Exposure of champion and challenger.
        values: Their rates; None without exposure.
        interval: What the difference can be.
        needed: Further exposure of the challenger that would decide; None: nobody can say.
    """

    metric: str
    verdict: str
    unit: str
    n: tuple[int, int]
    values: tuple[float | None, float | None]
    interval: tuple[float, float]
    needed: int | None


class Told(_Seen):
    """Where a rollout stands.

    Attributes:
        time: When this was written, ISO 8601 in UTC.
        id: The rollout's.
        seconds: How long it has been at this place, without what it was held.
        metrics: The evidence.
        lacking: What keeps it from going on, in words.
    """

    time: str
    id: int
    seconds: float
    metrics: tuple[Standing, ...]
    lacking: tuple[str, ...]


def place(folder: Path) -> Path:
    """The file, in a service's folder."""
    return folder / "rollout.json"


def tell(folder: Path, now: Progress, look: Look, evidence: Sequence[Evidence]) -> None:
    """Write it whole or not at all.

    Raises:
        OSError: The disk is full.
    """
    told = Told(
        time=datetime.fromtimestamp(look.now, UTC).isoformat(timespec="milliseconds"),
        id=now.id,
        seconds=now.seconds_here(look.now),
        metrics=tuple(_standing(one) for one in evidence),
        lacking=tuple(lacking(now, look)),
    )
    write_text(place(folder), told.model_dump_json() + "\n")


def read_told(folder: Path) -> Told | None:
    """What was written last; None when there is none."""
    try:
        return Told.model_validate_json(place(folder).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _standing(one: Evidence) -> Standing:
    return Standing(
        metric=one.metric,
        verdict=one.verdict.value,
        unit=one.unit,
        n=(one.n0, one.n1),
        values=(one.value0, one.value1),
        interval=(one.low, one.high),
        needed=one.needed,
    )
