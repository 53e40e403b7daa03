"""From the schedules that are declared and those that a server has to what must be done.

A pure function. Recurring runs cannot be changed, apart from whether they fire: a changed one is
made anew, and the old one deleted only then, so that there is never a moment without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["create", "update", "enable", "disable", "delete", "keep"]


@dataclass(frozen=True)
class Wanted:
    """A declared schedule.

    Attributes:
        digest: Of everything that is declared, but `enabled`.
        refers: Ids of the version and the experiment; None where the server has none yet.
        enabled: Whether it fires.
    """

    digest: str
    refers: tuple[str | None, str | None]
    enabled: bool


@dataclass(frozen=True)
class Found:
    """A recurring run of ours on the server.

    Attributes:
        id: What the server calls it.
        name: Of the schedule.
        digest: Of the declaration that it was made from.
        refers: Ids of its version and its experiment; None where the server does not say.
        enabled: Whether it fires.
        created: When it was made, in an order; the same to everybody who looks.
    """

    id: str
    name: str
    digest: str
    refers: tuple[str | None, str | None]
    enabled: bool
    created: str = ""

    def is_like(self, wanted: Wanted) -> bool:
        """Whether it does what is declared."""
        told = zip(self.refers, wanted.refers, strict=True)
        same = all(mine in (None, theirs) for mine, theirs in told)
        return self.digest == wanted.digest and same


@dataclass(frozen=True)
class Change:
    """One thing to do.

    Attributes:
        kind: What; `update` is a creation whose predecessor is deleted afterwards.
        name: Of the schedule.
        id: Of the recurring run; None where one is made.
        why: In words.
    """

    kind: Kind
    name: str
    id: str | None = None
    why: str = ""


def changes(wanted: Mapping[str, Wanted], found: Iterable[Found]) -> tuple[Change, ...]:
    """What must be done, in this order: what is made comes before what is deleted.

    Args:
        wanted: What is declared, by name.
        found: What is ours on the server. Foreign recurring runs are not among them.

    Returns:
        Everything, `keep` included, so that a plan can tell it.
    """
    ours = sorted(found, key=lambda one: (one.created, one.id))
    made: list[Change] = []
    kept: list[Change] = []
    deleted: list[Change] = []
    for name, want in wanted.items():
        mine = [one for one in ours if one.name == name]
        same = [one for one in mine if one.is_like(want)]
        if not same:
            made.append(Change("update" if mine else "create", name))
        # Of several the oldest stays: everybody who looks chooses the same one.
        for one in same[:1]:
            kind: Kind = "keep"
            if one.enabled != want.enabled:
                kind = "enable" if want.enabled else "disable"
            kept.append(Change(kind, name, one.id))
        why = "there is a newer one" if same else "replaced"
        for one in mine:
            if one not in same[:1]:
                twin = one.is_like(want)
                deleted.append(Change("delete", name, one.id, "it is there twice" if twin else why))
    for one in ours:
        if one.name not in wanted:
            deleted.append(Change("delete", one.name, one.id, "no longer declared"))
    return (*made, *kept, *deleted)


def settled(todo: Iterable[Change]) -> bool:
    """Whether there is nothing to do."""
    return all(one.kind == "keep" for one in todo)
