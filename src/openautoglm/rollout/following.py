"""Following rollouts to their end, for whoever waits: a person at a terminal, or a pipeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep, time

from openautoglm.deploy.ledger import Record, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.status import read_status
from openautoglm.deploy.local.waiting import see_to
from openautoglm.errors import ConfigError, DeployError
from openautoglm.observability.progress import say
from openautoglm.rollout.course import records_of
from openautoglm.rollout.plan import most_seconds
from openautoglm.rollout.state import Progress, progress
from openautoglm.rollout.telling import Told, read_told

_LOOK_SECONDS = 0.5
_SILENT_SECONDS = 30.0
_BOUND_SECONDS = 600.0
"""After the last deadline of a rollout's settings: by then its controller must have ended it."""
_MORE = 1.5


@dataclass(frozen=True)
class Look:
    """What one look at a rollout has shown.

    Attributes:
        now: Where it stands.
        records: Its decisions, and what was asked of it.
        news: Those of them that no look has shown before.
        told: What is known beside the decisions while it is open.
    """

    now: Progress
    records: Sequence[Record]
    news: Sequence[Record]
    told: Told | None

    def has_rested(self, patience: float) -> bool:
        """Whether it ended, or is held for longer than somebody waits; seconds."""
        held = self.now.state == "held" and self.now.seconds_held(time()) >= patience
        return self.now.ended or held


class Following:
    """One rollout of one service.

    Args:
        folder: The service's.
        number: The rollout's.
    """

    def __init__(self, folder: ServiceFolder, number: int) -> None:
        self.folder, self.number = folder, number
        self._shown = 0
        self._told: Told | None = None

    def look(self) -> Look:
        """See where it stands.

        Raises:
            ConfigError: Something else has ended it, such as a delete.
            ArtifactError: The ledger cannot be read.
        """
        ledger = read(self.folder.ledger)
        records = records_of(ledger, self.number)
        now, last = progress(records), progress(ledger)
        if now is None or not (now.ended or (last and last.id == self.number)):
            raise ConfigError(
                f"rollout {self.number} was ended by something else",
                where=str(self.folder.ledger),
            )
        news, self._shown = records[self._shown :], len(records)
        return Look(now, records, news, None if now.ended else self._news())

    def _news(self) -> Told | None:
        """What is known beside the decisions, if it says something new."""
        told = read_told(self.folder.root)
        if told is None or told.id != self.number or not _differs(self._told, told):
            return None
        self._told = told
        return told


def follow(rollouts: Sequence[Following], *, patience: float) -> list[Look]:
    """Wait until each ended, or is held for longer than that; say what happens meanwhile.

    Args:
        rollouts: Of one service each.
        patience: Seconds that one may be held.

    Returns:
        The last look at each.

    Raises:
        ConfigError: Something else has ended one of them.
        DeployError: One goes on when all its deadlines have passed.
    """
    begun = monotonic()
    while True:
        looks = [one.look() for one in rollouts]
        for rollout, look in zip(rollouts, looks, strict=True):
            _say(rollout.folder.name, look)
        if all(look.has_rested(patience) for look in looks):
            return looks
        for rollout, look in zip(rollouts, looks, strict=True):
            if not look.now.ended:
                _keep_alive(rollout, look.now, monotonic() - begun)
        sleep(_LOOK_SECONDS)


def _keep_alive(rollout: Following, now: Progress, waited: float) -> None:
    """A controller that tells nothing decides nothing: with it, waiting would have no end."""
    folder, most = rollout.folder, most_seconds(now.settings)
    if waited > most + _BOUND_SECONDS:
        raise DeployError(
            f"rollout {now.id} of {folder.name} goes on after {waited:.0f} s: it is {now.state}",
            where=str(folder.logs),
            allowed=f"an end within {most:.0f} s, as its deadlines have it",
            hint=f"openautoglm rollout watch {folder.name}, or logs {folder.name}",
        )
    status = read_status(folder.status)
    if status and time() - datetime.fromisoformat(status.time).timestamp() > _SILENT_SECONDS:
        see_to(folder)


def _say(service: str, look: Look) -> None:
    for record in look.news:
        if record.rollout:
            state = record.rollout.state.replace("_", " ")
            say(f"{service}: {state}: {record.note or record.rollout.reason}")
        elif record.request:
            say(f"{service}: {record.by} asked to {record.request.wish}")
    if look.told:
        known = [f"{one.metric} {one.word}" for one in look.told.metrics]
        say(f"{service}: {'; '.join([*known, *look.told.lacking])}")


def _differs(before: Told | None, now: Told) -> bool:
    """Whether there is something to show: a verdict, a reason, or half as much data again."""
    if before is None or [one.verdict for one in before.metrics] != [
        one.verdict for one in now.metrics
    ]:
        return True
    if _reasons(before) != _reasons(now):
        return True
    pairs = zip(before.metrics, now.metrics, strict=True)
    return any(sum(new.n) > _MORE * sum(old.n) for old, new in pairs)


def _reasons(told: Told) -> set[str]:
    """What is lacking, without figures, which change all the time."""
    return {re.sub(r"\d+", "", why) for why in told.lacking}
