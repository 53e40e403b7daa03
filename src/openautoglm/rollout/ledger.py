"""The ledger as a rollout uses it, and what a decision looks like in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from openautoglm.artifacts.digest import value_digest
from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy import ledger
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.rollout_record import Measured, RolloutRecord
from openautoglm.rollout.machine import Decision
from openautoglm.rollout.observation import Observation
from openautoglm.rollout.state import Progress


class Ledger(Protocol):
    """Every decision about one service, append-only.

    `tests/conformance/ledger.py` is what every implementation must pass.
    """

    def append(self, record: Record, *, after: int | None = None) -> None:
        """Add a decision; it lasts when this returns.

        Args:
            record: The decision.
            after: How many decisions this one rests on; None when it rests on none.

        Raises:
            BusyError: There are not as many as `after`: somebody else decided meanwhile.
            OSError: There is no room for it; the ledger is as it was.
        """

    def read(self) -> list[Record]:
        """Every decision, the first one first.

        Raises:
            ArtifactError: It cannot be read, or was damaged.
        """


@dataclass(frozen=True)
class FileLedger:
    """`ledger.jsonl` of a service on this machine.

    Attributes:
        path: The file, made by the first decision.
    """

    path: Path

    def append(self, record: Record, *, after: int | None = None) -> None:
        """As `Ledger` has it."""
        ledger.append(self.path, record, after=after)

    def read(self) -> list[Record]:
        """As `Ledger` has it."""
        return ledger.read(self.path)


def recorded(progress: Progress, decision: Decision, seen: Observation) -> Record:
    """A decision as the ledger's next record: where the rollout stands, and who serves what.

    Args:
        progress: Where it stood.
        decision: What comes next.
        seen: What it was decided on.
    """
    releases, weights, shadow = _traffic(progress, decision)
    told = RolloutRecord(
        id=progress.id,
        state=decision.state,
        back=decision.back,
        step=decision.step,
        cause=decision.cause,
        reason=decision.reason,
        forced=decision.forced,
        evidence=_evidence(progress, seen.evidence),
        missing=tuple(seen.missing),
        settings_digest=settings_digest(progress.settings),
        data=progress.data,
    )
    return Record(
        time=datetime.fromtimestamp(seen.now, UTC).isoformat(timespec="milliseconds"),
        kind="rollout",
        by=decision.by,
        releases=releases,
        weights=weights,
        shadow=shadow,
        owner=f"rollout {progress.id}" if told.open else "",
        note=decision.note,
        rollout=told,
    )


def settings_digest(settings: RolloutSettings) -> str:
    """Digest of a rollout's settings, the same for the same meaning."""
    return value_digest(settings.model_dump(mode="json"))


def _traffic(
    progress: Progress, decision: Decision
) -> tuple[dict[Role, Release], dict[Role, int], int]:
    """Releases, weights and percent of copies at a state; while held, those of where it was."""
    settings = progress.settings
    if decision.state == "promoted":
        return {"champion": progress.challenger}, {"champion": 100}, 0
    if decision.state == "rolled_back":
        return {"champion": progress.champion}, {"champion": 100}, 0
    place = decision.back if decision.state == "held" else decision.state
    share = {"promoting": 100, "canary": settings.weights[max(decision.step, 1) - 1]}
    challenger = share.get(str(place), 0)
    return (
        {"champion": progress.champion, "challenger": progress.challenger},
        {"champion": 100 - challenger, "challenger": challenger},
        settings.shadow.percent if place == "shadow" else 0,
    )


def _evidence(progress: Progress, seen: Mapping[str, Measured]) -> dict[str, Measured]:
    """What is known by metric; of what needs no more, that which it rests on."""
    found = {name: seen[name] for name in progress.settings.metrics.used() if name in seen}
    for name, before in progress.settled.items():
        if name not in found or found[name].verdict == "undecided":
            found[name] = before
    return found
