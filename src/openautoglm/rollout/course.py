"""The decisions of one rollout, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from openautoglm.deploy.ledger import Record
from openautoglm.errors import InputError


class Step(NamedTuple):
    """One decision of a rollout, or a request to it.

    Attributes:
        record: In the ledger.
        after: Seconds since the rollout began.
        lasted: Seconds until the next decision; None for the last one, and for a request.
    """

    record: Record
    after: float
    lasted: float | None


def records_of(ledger: Sequence[Record], number: int) -> list[Record]:
    """A rollout's own decisions, and what people asked of it.

    Args:
        ledger: Every decision about the service.
        number: The rollout's.

    Raises:
        InputError: The ledger has no such rollout.
    """
    found = [record for record in ledger if number == _number(record)]
    if not found:
        known = sorted({one.rollout.id for one in ledger if one.rollout})
        raise InputError(
            f"there is no rollout {number}", allowed=", ".join(map(str, known)) or "none yet"
        )
    return found


def course(records: Sequence[Record]) -> Iterator[Step]:
    """The records with their times; a clock that was set back takes none away."""
    times, passed = [_seconds(record) for record in records], 0.0
    afters = []
    for before, now in zip([times[0], *times], times, strict=False):
        passed += max(0.0, now - before)
        afters.append(passed)
    for place, record in enumerate(records):
        later = [
            after
            for other, after in zip(records[place + 1 :], afters[place + 1 :], strict=True)
            if other.rollout
        ]
        lasted = later[0] - afters[place] if later and record.rollout else None
        yield Step(record, afters[place], lasted)


def _number(record: Record) -> int | None:
    told = record.rollout or record.request
    return told.id if told else None


def _seconds(record: Record) -> float:
    return datetime.fromisoformat(record.time).timestamp()
