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
from time import monotonic

from openautoglm.artifacts.digest import value_digest
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.replicas import with_store
from openautoglm.deploy.local.telling import Seen
from openautoglm.deploy.release import Release
from openautoglm.errors import BusyError, StoreError
from openautoglm.feedback.answers import source_key
from openautoglm.feedback.reading import News, begin, news
from openautoglm.feedback.store import FeedbackStore
from openautoglm.feedback.tables import exists
from openautoglm.rollout.confirmation import Confirmation
from openautoglm.rollout.course import records_of
from openautoglm.rollout.gathering import Gathered, gathered, keep, mismatch, take
from openautoglm.rollout.ledger import FileLedger, recorded
from openautoglm.rollout.look import Look
from openautoglm.rollout.machine import Decision, decide
from openautoglm.rollout.metrics import Stage, alpha, measured
from openautoglm.rollout.series import Series
from openautoglm.rollout.settling import Settler
from openautoglm.rollout.state import Progress, progress
from openautoglm.rollout.telling import tell
from openautoglm.rollout.verdict import Verdict
from openautoglm.routing.envoy.telemetry import EnvoyTelemetry

_log = logging.getLogger("openautoglm.rollout")
_LOOK_SECONDS = 1.0
_STORE_SECONDS = 30.0


class LiveRollout:
    """Decides on the weights of one service while a rollout is open.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._ledger = FileLedger(folder.ledger)
        self._gateways: Sequence[Path] = ()
        self._telemetry = EnvoyTelemetry(lambda: self._gateways)
        self._confirmation = Confirmation()
        self._settler = Settler(folder)
        self._store: tuple[str, FeedbackStore] | None = None
        self._store_again = 0.0
        self._known: Gathered | None = None
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
            self._settler.step(records)

    def _decide(
        self,
        records: Sequence[Record],
        desired: Desired,
        seen: Seen | None,
        gateways: Sequence[Path],
        problem: str,
    ) -> None:
        self._gateways = gateways
        now = self._standing(records)
        if now is None or now.ended:
            self._known = None
            return
        at = time.time()
        if not now.asked and 0 <= at - self._looked < _LOOK_SECONDS:
            return
        self._looked = at
        if self._ahead:
            self._write_late(*self._ahead)
            return
        look = self._look(now, desired, seen, problem, at)
        decision = decide(now, look)
        with suppress(OSError):  # whoever watches sees nothing new, and that is all
            tell(self._folder.root, now, look, self._known.evidence if self._known else [])
        if decision is not None:
            self._write(recorded(now, decision, look), decision, len(records))

    def _standing(self, records: Sequence[Record]) -> Progress | None:
        if self._progress[0] != len(records):
            self._progress = len(records), progress(records)
            now = self._progress[1]
            self._begun = (
                next(
                    datetime.fromisoformat(record.time).timestamp()
                    for record in records_of(records, now.id)
                )
                if now
                else 0.0
            )
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

    def _look(
        self, now: Progress, desired: Desired, seen: Seen | None, problem: str, at: float
    ) -> Look:
        in_force = seen is not None and _in_force(seen)
        stage = _stage(now)
        missing = {f"the router: {problem}": 0.0} if problem else {}
        if stage is not None:
            known = self._gathering(now, stage)
            self._gather(known, now, desired, in_force, at)
            if seen is not None and _answers(seen, now):
                known.last["replicas"] = at
            if not problem:
                known.last["router"] = at
            self._keep(known)
            self._draw(known, now, seen, at)
            missing = _missing(known, now, problem, at)
        confirmed = self._confirmation.step(
            now.settings.confirm if now.cause == "confirm" else None, now.id
        )
        found = self._known.evidence if self._known else []
        part = alpha(now.settings) / max(len(found), 1)
        return Look(
            now=at,
            in_force=in_force,
            evidence={one.metric: measured(one, part) for one in found},
            missing=missing,
            mismatch=mismatch(self._known, now) if self._known else "",
            confirmed=confirmed,
        )

    def _keep(self, known: Gathered) -> None:
        """A full disk must not keep a bad challenger in service: then memory has to do."""
        try:
            keep(self._folder.root / "gathered.json", known)
        except OSError as error:
            _log.warning("what was counted cannot be kept", extra={"why": str(error)})

    def close(self) -> None:
        """End what goes on beside it."""
        self._settler.close()

    def _draw(self, known: Gathered, now: Progress, seen: Seen | None, at: float) -> None:
        """Add to the curves."""
        if self._series is None or self._series[0] != (now.id, self._begun):
            self._series = (now.id, self._begun), Series(series_file(self._folder.root, now.id))
        weight = seen.routes.weights.get(now.challenger.key, 0) if seen else 0
        edges = self._telemetry.edges
        point = known.figures.point(
            now, known.evidence, edges, begun=self._begun, at=at, weight=weight
        )
        self._series[1].add(point)

    def _gathering(self, now: Progress, stage: Stage) -> Gathered:
        if self._known is None or (self._known.id, self._known.stage) != (now.id, stage):
            self._known = gathered(now, stage, self._folder.root / "gathered.json")
        return self._known

    def _gather(
        self, known: Gathered, now: Progress, desired: Desired, in_force: bool, at: float
    ) -> None:
        took = self._telemetry.look(known.totals)
        take(
            known,
            now,
            took,
            self._news(known, now, desired),
            now=at,
            in_force=in_force,
            edges=self._telemetry.edges,
        )

    def _news(self, known: Gathered, now: Progress, desired: Desired) -> News | None:
        """What came in of answers and labels; None when nothing can be had."""
        settings = with_store(self._folder, desired.service.feedback)
        if not settings.enabled or settings.url is None or not exists(settings.url):
            return None
        if self._store is None or self._store[0] != settings.url:
            if self._store is not None:
                self._store[1].close()
            self._store = settings.url, FeedbackStore(settings.url)
        if monotonic() < self._store_again:
            return None
        try:
            database, place = self._store[1].database, value_digest(settings.url)
            if known.cursor is None or known.store != place:
                known.cursor, known.store = begin(database), place
            champion, challenger = _source(now.champion), _source(now.challenger)
            return news(database, known.cursor, champion=champion, challenger=challenger)
        except StoreError as error:
            _log.warning("the feedback store does not answer", extra={"why": error.what})
            # One that hangs takes seconds for each try, in which nothing else is done.
            self._store_again = monotonic() + _STORE_SECONDS
            return None


def series_file(folder: Path, rollout: int) -> Path:
    """Where the curves of a rollout are kept, in its service's folder."""
    return folder / "rollouts" / f"{rollout}.jsonl"


def _in_force(seen: Seen) -> bool:
    """Whether the routes are those of the ledger, and whoever they name is there."""
    goal, routes = seen.goal, seen.routes
    weights = {key: weight for key, weight in goal.weights.items() if weight}
    shares = {key: weight for key, weight in routes.weights.items() if weight}
    there = all(
        len(routes.variants.get(key, ())) >= wanted for key, wanted in goal.replicas.items()
    )
    return weights == shares and goal.shadow == routes.shadow and there


def _answers(seen: Seen, now: Progress) -> bool:
    """Whether a replica of the challenger is ready."""
    return any(
        unit.release == now.challenger.key and unit.name in seen.ready for unit in seen.units
    )


def _stage(now: Progress) -> Stage | None:
    if now.place == "shadow":
        return "shadow"
    return "canary" if now.place in ("canary", "promoting") else None


def _missing(known: Gathered, now: Progress, problem: str, at: float) -> dict[str, float]:
    """What there is nothing of, and for how long."""
    words = {
        "requests": "no requests come in",
        "telemetry": "a gateway does not tell what it counts",
        "replicas": "the challenger has no replica that is ready",
        "router": f"the router: {problem}",
    }
    verdicts = {one.metric: one.verdict for one in known.evidence}
    if verdicts.get("accuracy") is Verdict.UNDECIDED:  # else there were enough
        words["labels"] = "no labels come in"
    found = {told: at - known.last[what] for what, told in words.items()}
    # A pause between two requests is nothing to speak of.
    return {told: since for told, since in found.items() if since >= now.settings.missing_seconds}


def _source(release: Release) -> str:
    return source_key(
        release.name, release.version, release.digest, release.family, release.variant
    )
