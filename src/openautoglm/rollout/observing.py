"""Seeing how an open rollout does: counts, labels, replicas, and whoever must agree."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from openautoglm.artifacts.digest import value_digest
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.replicas import with_store
from openautoglm.deploy.local.telling import Seen
from openautoglm.deploy.release import Release
from openautoglm.feedback.answers import source_key
from openautoglm.rollout.confirmation import Confirmation
from openautoglm.rollout.feedback_reader import FeedbackReader, Question
from openautoglm.rollout.gathering import Gathered, gathered, keep, mismatch, take
from openautoglm.rollout.metrics import Stage, alpha, measured
from openautoglm.rollout.missing import missing
from openautoglm.rollout.observation import Observation
from openautoglm.rollout.state import Progress
from openautoglm.routing.envoy.telemetry import EnvoyTelemetry

_log = logging.getLogger("openautoglm.rollout")


class Observer:
    """Observes the rollout of one service, and keeps what it has gathered in `gathered.json`.

    Args:
        folder: The service's.

    Attributes:
        known: What was gathered of the rollout; None while there was nothing to compare.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self.known: Gathered | None = None
        self._folder = folder
        self._kept = folder.root / "gathered.json"
        self._gateways: Sequence[Path] = ()
        self._telemetry = EnvoyTelemetry(lambda: self._gateways)
        self._feedback = FeedbackReader()
        self._confirmation = Confirmation()

    @property
    def edges(self) -> tuple[float, ...]:
        """Seconds that latencies are counted by."""
        return self._telemetry.edges

    def observe(
        self,
        now: Progress,
        desired: Desired,
        seen: Seen | None,
        gateways: Sequence[Path],
        problem: str,
        at: float,
    ) -> Observation:
        """Take in what came since the last look, and tell how things stand.

        Args:
            now: Where the rollout stands.
            desired: How the service is served.
            seen: What the controller saw; None when its step failed.
            gateways: Admin sockets of the gateways there should be.
            problem: Why that step failed; "" when it did not.
            at: Seconds since 1970.
        """
        if self.known is not None and self.known.id != now.id:
            self.forget()
        in_force = seen is not None and _in_force(seen)
        gone = {f"the router: {problem}": 0.0} if problem else {}
        if stage := _stage(now):
            self._gateways = gateways
            known = self._gathered(now, stage)
            if seen is not None and _answers(seen, now):
                known.last["replicas"] = at
            if not problem:
                known.last["router"] = at
            self._gather(known, now, desired, in_force, at)
            silent = self._feedback.silent
            gone = missing(known, now, problem=problem, silent=silent, now=at)
        url = now.settings.confirm if now.cause == "confirm" else None
        found = self.known.evidence if self.known else []
        part = alpha(now.settings) / max(len(found), 1)
        return Observation(
            now=at,
            in_force=in_force,
            evidence={one.metric: measured(one, part) for one in found},
            missing=gone,
            mismatch=mismatch(self.known, now) if self.known else "",
            confirmed=self._confirmation.step(url, now.id),
        )

    def forget(self) -> None:
        """There is no open rollout, or it is another one."""
        self.known = None
        self._feedback.close()

    def _gathered(self, now: Progress, stage: Stage) -> Gathered:
        if self.known is None or (self.known.id, self.known.stage) != (now.id, stage):
            self.known = gathered(now, stage, self._kept)
        return self.known

    def _gather(
        self, known: Gathered, now: Progress, desired: Desired, in_force: bool, at: float
    ) -> None:
        question = self._question(known, now, desired)
        news = self._feedback.found(question) if question else None
        if question and news:
            known.store = value_digest(question.url)
        counted = self._telemetry.look(known.totals)
        take(known, now, counted, news, now=at, in_force=in_force, edges=self.edges)
        try:
            keep(self._kept, known)
        except OSError as error:
            # A full disk must not keep a bad challenger in service: then memory has to do.
            _log.warning("what was counted cannot be kept", extra={"why": str(error)})
        if further := self._question(known, now, desired):
            self._feedback.read(further)

    def _question(self, known: Gathered, now: Progress, desired: Desired) -> Question | None:
        """What to ask the feedback store now; None where answers are not kept."""
        url = with_store(self._folder, desired.service.feedback).url
        if not desired.service.feedback.enabled or url is None:
            return None
        cursor = known.cursor if known.store == value_digest(url) else None
        return Question(now.id, url, _source(now.champion), _source(now.challenger), cursor)


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


def _source(release: Release) -> str:
    return source_key(
        release.name, release.version, release.digest, release.family, release.variant
    )
