"""The rollout of a live service: looks once a second, and writes what it decides.

What it knows is in two files: the ledger says where the rollout stands, `gathered.json` what has
been counted. So whenever it is killed, the next one goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.telling import Seen
from openautoglm.errors import BusyError
from openautoglm.rollout.course import records_of
from openautoglm.rollout.gathering import Gathered
from openautoglm.rollout.ledger import FileLedger, recorded
from openautoglm.rollout.machine import Decision, decide
from openautoglm.rollout.observing import Observer
from openautoglm.rollout.series import Series, file_of
from openautoglm.rollout.settling import Settler
from openautoglm.rollout.state import Progress, progress
from openautoglm.rollout.telling import tell

_log = logging.getLogger("openautoglm.rollout")
_LOOK_SECONDS = 1.0


class LiveRollout:
    """Decides on the weights of one service while a rollout is open.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._ledger = FileLedger(folder.ledger)
        self._observer = Observer(folder)
        self._settler = Settler(folder)
        self._progress: tuple[int, Progress | None] = -1, None
        self._ahead: tuple[int, Record] | None = None
        self._series: tuple[tuple[int, float], Series] | None = None
        self._begun = 0.0
        self._looked = 0.0

    def in_force(self, records: Sequence[Record]) -> Record:
        """The decision to act on: a rollback does not wait for a ledger whose disk is full."""
        if self._ahead and self._ahead[0] == len(records):
            return self._ahead[1]
        self._ahead = None
        return records[-1]

    def look(
        self,
        records: Sequence[Record],
        desired: Desired,
        seen: Seen | None,
        gateways: Sequence[Path],
        problem: str,
    ) -> None:
        """See what is in force now, and decide what comes next."""
        try:
            self._decide(records, desired, seen, gateways, problem)
        finally:
            if desired.settles:
                self._settler.step(records)

    def close(self) -> None:
        """End what goes on beside it."""
        self._observer.forget()
        self._settler.close()

    def _decide(
        self,
        records: Sequence[Record],
        desired: Desired,
        seen: Seen | None,
        gateways: Sequence[Path],
        problem: str,
    ) -> None:
        now = self._standing(records)
        if now is None or now.ended:
            self._observer.forget()
            return
        at = time.time()
        if not now.asked and 0 <= at - self._looked < _LOOK_SECONDS:
            return
        self._looked = at
        if self._ahead:
            self._write_late(*self._ahead)
            return
        observed = self._observer.observe(now, desired, seen, gateways, problem, at)
        decision, known = decide(now, observed), self._observer.known
        if known is not None:
            self._draw(known, now, seen, at)
        with suppress(OSError):  # whoever watches sees nothing new, and that is all
            tell(self._folder.root, now, observed, known.evidence if known else [])
        if decision is not None:
            self._write(recorded(now, decision, observed), decision, len(records))

    def _standing(self, records: Sequence[Record]) -> Progress | None:
        if self._progress[0] != len(records):
            now = progress(records)
            self._progress = len(records), now
            self._begun = _begun(records, now) if now else 0.0
        return self._progress[1]

    def _write(self, record: Record, decision: Decision, after: int) -> None:
        _log.info("decided", extra={"state": decision.state, "why": decision.reason})
        try:
            self._ledger.append(record, after=after)
        except BusyError:
            return  # somebody has asked for something meanwhile: decide again
        except OSError:
            if not decision.routes_first:
                raise
            _log.exception("the ledger has no room for a rollback, which is done all the same")
            self._ahead = after, record

    def _write_late(self, after: int, record: Record) -> None:
        """Write the decision that is in force already, as soon as there is room for it."""
        try:
            self._ledger.append(record, after=after)
        except BusyError:  # a person was faster: the next look decides anew
            self._ahead = None
        except OSError:
            return

    def _draw(self, known: Gathered, now: Progress, seen: Seen | None, at: float) -> None:
        """Add to the curves."""
        if self._series is None or self._series[0] != (now.id, self._begun):
            self._series = (now.id, self._begun), Series(file_of(self._folder.root, now.id))
        weight = seen.routes.weights.get(now.challenger.key, 0) if seen else 0
        point = known.figures.point(
            now, known.evidence, self._observer.edges, begun=self._begun, at=at, weight=weight
        )
        self._series[1].add(point)


def _begun(records: Sequence[Record], now: Progress) -> float:
    """When a rollout began, seconds since 1970."""
    return datetime.fromisoformat(records_of(records, now.id)[0].time).timestamp()
