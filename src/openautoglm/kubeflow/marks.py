"""How a recurring run of ours is told from a foreign one: a line in its description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MARK = "open-autoglm schedule: "
_ABOUT = "Declared in pipelines/schedules.yaml of the project; change it there, not here."


@dataclass(frozen=True)
class Mark:
    """What the description says.

    Attributes:
        owner: Whose: the model's name.
        name: Of the schedule.
        digest: Of its declaration.
    """

    owner: str
    name: str
    digest: str

    @property
    def description(self) -> str:
        """For people, then for us."""
        told = {"owner": self.owner, "name": self.name, "declaration": self.digest}
        return f"{_ABOUT}\n{_MARK}{json.dumps(told)}"


def mark_of(description: str | None) -> Mark | None:
    """The mark in a description; None for a foreign recurring run."""
    lines = (description or "").splitlines()
    found = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
    try:
        told = json.loads(found[0])
        mark = Mark(told["owner"], told["name"], told["declaration"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return mark if all(isinstance(part, str) for part in vars(mark).values()) else None


def declaration(parts: Mapping[str, Any]) -> str:
    """The digest of what is declared, as plain values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"
