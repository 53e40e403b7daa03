"""A rollout without a service: a ledger in memory, and looks that a test makes up."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release
from openautoglm.deploy.rollout_record import Measured
from openautoglm.rollout.ledger import recorded
from openautoglm.rollout.machine import decide
from openautoglm.rollout.observation import Observation
from openautoglm.rollout.plan import requested, started
from openautoglm.rollout.state import progress

START = datetime(2026, 11, 26, tzinfo=UTC).timestamp()
METRICS = ("errors", "slow")
PLACES = ("shadow", "canary 1", "canary 2", "canary 3")
STEP, DAY, WEEK = 300, 86_400, 7 * 86_400


def release(version: str) -> Release:
    return Release(
        name="clc",
        version=version,
        digest=f"sha256-{version}",
        family="glm",
        variant="int8",
        origin="here",
    )


OLD, NEW = release("1"), release("2")
DEPLOYED = Record(kind="deploy", by="test", releases={"champion": OLD}, weights={"champion": 100})


def settings(**keys) -> RolloutSettings:
    return RolloutSettings.model_validate_json(json.dumps(keys))


def verdicts(verdict: str = "no_worse", **others: str) -> dict[str, Measured]:
    """One for every metric in use, others where they are named."""
    given = {**dict.fromkeys(METRICS, verdict), **others}
    return {metric: Measured(verdict=found) for metric, found in given.items()}


def at(record: Record, now: float) -> Record:
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    return record.model_copy(update={"time": time})


class Rollout:
    """A rollout whose decisions come into force as soon as a look says so.

    Args:
        immediate: As `started`.
        keys: Of its settings.
    """

    def __init__(self, *, immediate: bool = False, **keys) -> None:
        self.now = START
        self.records = [at(DEPLOYED, START - 60)]
        start = started(
            self.records, NEW, settings(**keys), by="me", immediate=immediate, data="sha256-d"
        )
        self.records.append(at(start, self.now))

    @property
    def last(self) -> Record:
        return self.records[-1]

    @property
    def progress(self):
        return progress(self.records)

    @property
    def where(self) -> str:
        """`canary 2`, `held canary 2: missing`, `promoted`."""
        found = self.progress
        place = f"{found.place} {found.step}" if found.place == "canary" else found.place
        if found.state == "held":
            return f"held {place}: {found.cause}"
        return place or found.state

    @property
    def is_back(self) -> bool:
        """Whether the champion has everything and nobody owns the weights."""
        last = self.last
        kept = last.releases, last.weights, last.shadow, last.owner
        return self.where == "rolled_back" and kept == ({"champion": OLD}, {"champion": 100}, 0, "")

    def ask(self, wish: str, *, forced: bool = False, by: str = "me") -> None:
        self.records.append(at(requested(self.records, wish, by=by, forced=forced), self.now))

    def look(self, seconds: float = 1, *, in_force: bool = True, evidence=None, **seen):
        """Time passes, and the rollout looks once; what it decided, or None."""
        self.now += seconds
        look = Observation(self.now, in_force, evidence if evidence is not None else {}, **seen)
        found = decide(self.progress, look)
        if found:
            self.records.append(recorded(self.progress, found, look))
        return found

    def run(self, seconds: float = 1, most: int = 50, **seen) -> list[str]:
        """Look until nothing changes any more; where it was, one after the other."""
        found = [self.where]
        for _ in range(most):
            if self.look(seconds, **seen) is None:
                return found
            found.append(self.where)
        raise AssertionError(f"it never rests: {found}")


def at_place(place: str, **keys) -> Rollout:
    """A rollout with these settings that has come to a place on good evidence."""
    found = Rollout(**keys)
    while found.where != place:
        assert found.look(STEP, evidence=verdicts()), f"it stays at {found.where}"
    return found
