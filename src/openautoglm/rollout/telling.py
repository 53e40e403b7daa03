"""`rollout.json`: where an open rollout stands right now, for whoever watches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.artifacts.folder import write_text
from openautoglm.rollout.analysis.evidence import Evidence
from openautoglm.rollout.observation import Observation, lacking
from openautoglm.rollout.state import Progress


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Standing(_Frozen):
    """One metric, in figures for people.

    Attributes:
        metric: Its name.
        verdict: So far.
        settled: Whether it needs no more evidence, because pairs in the shadow were enough.
        unit: What `n` counts.
        n: Exposure of champion and challenger.
        values: Their rates; None without exposure.
        interval: What the difference can be.
        needed: Further exposure of the challenger that would decide; None: nobody can say.
    """

    metric: str
    verdict: str
    settled: bool
    unit: str
    n: tuple[int, int]
    values: tuple[float | None, float | None]
    interval: tuple[float, float]
    needed: int | None

    @property
    def word(self) -> str:
        """The verdict for people."""
        if self.settled and self.verdict == "undecided":
            return "no worse in the shadow"
        needed = f", about {self.needed} more {self.unit} would decide" if self.needed else ""
        open_ = self.verdict == "undecided"
        return self.verdict.replace("_", " ") + (needed if open_ else "")

    @property
    def passed(self) -> bool:
        """Whether it keeps the challenger from nothing."""
        return self.settled or self.verdict == "no_worse"


class Told(_Frozen):
    """Where a rollout stands.

    Attributes:
        time: When this was written, ISO 8601 in UTC.
        id: The rollout's.
        seconds: How long it has been at this place, without what it was held.
        metrics: The evidence.
        lacking: What keeps it from going on, in words.
        in_force: Whether the routes are those of its last decision.
    """

    time: str
    id: int
    seconds: float
    metrics: tuple[Standing, ...]
    lacking: tuple[str, ...]
    in_force: bool


def place(folder: Path) -> Path:
    """The file, in a service's folder."""
    return folder / "rollout.json"


def tell(folder: Path, now: Progress, seen: Observation, evidence: Sequence[Evidence]) -> None:
    """Write it whole or not at all.

    Raises:
        OSError: The disk is full.
    """
    told = Told(
        time=datetime.fromtimestamp(seen.now, UTC).isoformat(timespec="milliseconds"),
        id=now.id,
        seconds=now.seconds_here(seen.now),
        metrics=tuple(_standing(one, one.metric in now.settled) for one in evidence),
        lacking=tuple(lacking(now, seen)),
        in_force=seen.in_force,
    )
    write_text(place(folder), told.model_dump_json() + "\n")


def read_told(folder: Path) -> Told | None:
    """What was written last; None when there is none."""
    try:
        return Told.model_validate_json(place(folder).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _standing(one: Evidence, settled: bool) -> Standing:
    return Standing(
        metric=one.metric,
        verdict=one.verdict.value,
        settled=settled,
        unit=one.unit,
        n=(one.n0, one.n1),
        values=(one.value0, one.value1),
        interval=(one.low, one.high),
        needed=one.needed,
    )
