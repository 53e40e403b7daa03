"""What gateways have counted about each variant, and what came since somebody last looked.

Gateways count from their start; whoever looks wants increments. Between two looks a gateway may
have been killed, started anew, replaced, or may not answer. What is kept here:

- an increment is never negative, and nothing is ever counted twice;
- what a gateway that cannot be asked counts is in the first look at which it answers again;
- where counts were lost, the look says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from typing import Self


@dataclass(frozen=True)
class Counts:
    """Requests for predictions that one variant was to answer, and that ended.

    Attributes:
        requests: All of them; what the observed split is made of.
        refused: Answered with a 4xx: the client's own mistakes. 429 is none.
        abandoned: The client left before the answer.
        errors: Neither of those, and not answered well, or only after another attempt failed.
        shed: Of the errors, those with which the variant said that it has too much to do.
        retried: Of the errors, those that were answered well in the end.
        timed: By latency edge, answers of which it is known whether they took longer.
        slow: Of those, the ones that did.
    """

    requests: int = 0
    refused: int = 0
    abandoned: int = 0
    errors: int = 0
    shed: int = 0
    retried: int = 0
    timed: tuple[int, ...] = ()
    slow: tuple[int, ...] = ()

    @property
    def exposure(self) -> int:
        """Requests that could have been errors."""
        return self.requests - self.refused - self.abandoned

    def __add__(self, other: Self) -> Counts:
        return _combine(self, other, 1)

    def __sub__(self, other: Self) -> Counts:
        return _combine(self, other, -1)

    @property
    def went_back(self) -> bool:
        """Whether a difference has a negative part: then it is none of one process's counts."""
        return any(part < 0 for name in _NAMES for part in _parts(getattr(self, name)))


_NAMES = tuple(one.name for one in fields(Counts))


@dataclass(frozen=True)
class Seen:
    """What one gateway has counted since its process began.

    Attributes:
        process: Names the process, whoever has its place afterwards; "" is one never asked.
        variants: Clients' requests, by the router's name for a variant.
        copies: The same of the copies a shadow gets; nobody abandons those.
        copied: Clients' requests of the kind that copies are counted of.
    """

    process: str = ""
    variants: Mapping[str, Counts] = field(default_factory=dict)
    copies: Mapping[str, Counts] = field(default_factory=dict)
    copied: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """What the next look starts from; small, and JSON as pydantic writes and reads it.

    Whoever stores it together with what was made of the look, in one write, counts nothing twice
    and leaves nothing out, whenever it is killed.

    Attributes:
        gateways: What each had counted, by its name.
    """

    gateways: Mapping[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What came since the last look.

    Attributes:
        variants: Clients' requests, by the router's name for a variant.
        copies: Copies that a shadow got.
        missing: Gateways that could not be asked; a later look has what they count.
        lost: Gateways of which some counts since the last look are gone for good: the process
            ended, or began anew. An exposure segment ends here.
        totals: For the next look.
        copied: Of `variants`, the requests of the kind that copies are counted of: what copies may
            be compared with. The others may err, and take their time, otherwise.
    """

    variants: Mapping[str, Counts]
    copies: Mapping[str, Counts]
    missing: tuple[str, ...]
    lost: tuple[str, ...]
    totals: Totals
    copied: Mapping[str, Counts] = field(default_factory=dict)


def advance(last: Totals | None, found: Mapping[str, Seen | None]) -> Look:
    """A look at all gateways.

    Args:
        last: Of the look before; None begins: this look has no counts, and the next one starts
            from what was found now.
        found: What each gateway there should be has counted; None could not be asked.
    """
    known = last.gateways if last else {}
    kept: dict[str, Seen] = {}
    variants: dict[str, Counts] = {}
    copies: dict[str, Counts] = {}
    copied: dict[str, Counts] = {}
    lost = [name for name in known if name not in found]
    for name, now in found.items():
        then = known.get(name)
        if now is None:
            if then or last is None:
                kept[name] = then or Seen()
            continue
        kept[name] = now
        if last is None:
            continue
        if then and not then.process:
            # Some of it is from before the first look, and nobody knows how much.
            lost.append(name)
            continue
        same = then if then and then.process == now.process else Seen()
        gone = bool(then) and then is not same
        for into, counted, before in (
            (variants, now.variants, same.variants),
            (copies, now.copies, same.copies),
            (copied, now.copied, same.copied),
        ):
            gone |= _gather(into, counted, before)
        if gone:
            lost.append(name)
    missing = tuple(sorted(name for name, now in found.items() if now is None))
    return Look(variants, copies, missing, tuple(sorted(lost)), Totals(kept), copied)


def _gather(into: dict[str, Counts], now: Mapping[str, Counts], then: Mapping[str, Counts]) -> bool:
    """Add what is new to a look; whether a count began anew."""
    anew = False
    for variant in {*now, *then}:
        counted = now.get(variant, Counts())
        more = counted - then.get(variant, Counts())
        if more.went_back:
            anew, more = True, counted
        into[variant] = into.get(variant, Counts()) + more
    return anew


def _combine(one: Counts, other: Counts, sign: int) -> Counts:
    def each(name: str) -> int | tuple[int, ...]:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, int):
            return left + sign * int(right)
        return tuple(a + sign * b for a, b in zip_longest(left, right, fillvalue=0))

    return Counts(**{name: each(name) for name in _NAMES})  # type: ignore[arg-type]


def _parts(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else value
