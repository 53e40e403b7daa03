"""From the ledger's last record to a goal: which releases, how many replicas of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.converge import Goal
from openautoglm.deploy.release import Role
from openautoglm.routing.routes import Shadow

T = TypeVar("T")


class Reading(Generic[T]):
    """What a file says, read again only after it changed.

    Args:
        path: The file, which may be missing.
        read: Reads it.
    """

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._known: tuple[object, T] | None = None

    def get(self) -> T:
        """What it says now; raises what `read` raises."""
        mark = _mark(self._path)  # before it is read: a change meanwhile makes the next one differ
        if self._known is None or self._known[0] != mark:
            self._known = None
            self._known = mark, self._read(self._path)
        return self._known[1]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def counts(record: Record, replicas: int) -> dict[Role, int]:
    """Replicas by role.

    The champion keeps all of its own whatever its weight, so that it can take everything back at
    once; a challenger has its share of as many.

    Args:
        record: The decision in force.
        replicas: How many the champion has.
    """
    found: dict[Role, int] = {"champion": replicas}
    if "challenger" in record.releases:
        share = max(record.weights.get("challenger", 0), record.shadow)
        found["challenger"] = max(1, math.ceil(replicas * share / 100))
    return found


def goal(record: Record, replicas: int, settings: str) -> Goal:
    """What the controller works towards.

    Args:
        record: The decision in force.
        replicas: How many the champion has.
        settings: Digest of the settings every replica must have.
    """
    wanted: Mapping[Role, int] = counts(record, replicas)
    keys = {role: release.key for role, release in record.releases.items()}
    challenger = keys.get("challenger")
    shadow = Shadow(challenger, record.shadow) if challenger and record.shadow else None
    return Goal(
        replicas={keys[role]: count for role, count in wanted.items()},
        weights={keys[role]: weight for role, weight in record.weights.items() if role in keys},
        shadow=shadow,
        settings=settings,
    )
