"""From two registered versions to a verdict, in a minute at most.

The replay split is sent through a real gateway. In the shadow every row is answered by both, which
makes pairs; then each has half of the requests. What decides is the rollout's own rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time
from typing import Literal

from openautoglm.client.calls import Row
from openautoglm.config.canary import CanarySettings
from openautoglm.config.project import Project
from openautoglm.config.rollout import Deadlines, RolloutSettings, ShadowSettings
from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import BusyError
from openautoglm.observability.progress import say
from openautoglm.observability.tracking import Tracker
from openautoglm.rollout import series, wording
from openautoglm.rollout.canary.replay import Replay
from openautoglm.rollout.canary.service import BY, begin, folder_of, own_service
from openautoglm.rollout.canary.sides import sides
from openautoglm.rollout.course import records_of
from openautoglm.rollout.ledger import recorded
from openautoglm.rollout.live import series_file
from openautoglm.rollout.machine import Decision
from openautoglm.rollout.observation import Observation
from openautoglm.rollout.published import publish
from openautoglm.rollout.state import progress
from openautoglm.rollout.telling import Told, read_told

_STAGE_SECONDS = 2.0
_READY_SECONDS = 30.0
_END_SECONDS = 4.0
"""Kept back for the end: the processes are drained and ended."""
_NEWS_SECONDS = 5.0
"""After the last label, until whatever it says has been taken in."""
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Outcome:
    """What a minute side by side came to.

    Attributes:
        verdict: `undecided` where the replay split or the time was too little.
        reason: In words, without anything that another run would find otherwise.
        name: The rollout's run in MLflow.
    """

    verdict: Literal["no_worse", "worse", "undecided"]
    reason: str
    name: str


def compare(
    project: Project,
    model: str,
    champion: str,
    challenger: str,
    rows: Sequence[Row],
    labels: Sequence[str],
    settings: CanarySettings,
    tracker: Tracker,
) -> Outcome:
    """Serve two versions side by side, and say whether the second may replace the first.

    Args:
        project: Whose registry and services.
        model: Registered name.
        champion: A version.
        challenger: Another one.
        rows: The replay split: texts, or rows of features.
        labels: The right class of each.
        settings: Of the comparison.
        tracker: Gets the rollout's runs.

    Raises:
        BusyError: Another canary of this model is under way.
        ConfigError: A version cannot be served, or the canary's name is taken.
        DeployError: They do not become ready; the message has what their processes said.
        StoreError: The registry does not answer, or no port is free.
    """
    end = monotonic() + settings.seconds - _END_SECONDS
    folder = folder_of(project, model)
    with own_service(folder):
        both = sides(project, folder.name, model, champion, challenger)
        url = begin(folder, both, rollout_settings(settings), seconds=_READY_SECONDS)
        say(f"versions {champion} and {challenger} are ready; {len(rows)} rows are replayed")
        replay = Replay(url, rows, labels, clients=settings.clients)
        told = asyncio.run(_watched(folder, replay, end))
        records = read(folder.ledger)
        number = max(one.rollout.id for one in records if one.rollout)
        own = records_of(records, number)
        for line in _lines(told):
            say(line)
        sent = replay.sent
        say(f"{sent.answered} requests answered, {sent.failed} failed, {sent.labelled} labels")
        publish(tracker, folder.name, own, series.read(series_file(folder.root, number)))
    return _outcome(own, told, f"rollout {folder.name} {number}")


def rollout_settings(settings: CanarySettings) -> RolloutSettings:
    """The rollout of a canary: no state waits for people, and the step ends it in time."""
    seconds = settings.seconds
    return RolloutSettings(
        shadow=ShadowSettings(percent=100, seconds=_STAGE_SECONDS),
        steps=(50, 100),
        step_seconds=_STAGE_SECONDS,
        deadline=Deadlines(
            pending=seconds, shadow=seconds, step=seconds, promoting=seconds, held=seconds
        ),
        missing_seconds=seconds,
        alpha=settings.alpha,
        metrics=settings.metrics,
    )


async def _watched(folder: ServiceFolder, replay: Replay, end: float) -> Told | None:
    """Send until the rollout ends; what was known last."""
    traffic = asyncio.create_task(replay.run())
    shown, whole = len(read(folder.ledger)), None
    try:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if traffic.done():
                await traffic  # what broke it
            records = read(folder.ledger)
            for record in records[shown:]:
                _show(record)
            shown, now, told = len(records), progress(records), read_told(folder.root)
            assert now is not None
            if now.ended:
                return told
            if replay.whole and whole is None:
                whole = monotonic()
            in_vain = whole and monotonic() - whole > _NEWS_SECONDS and _waits_for_labels(told)
            if in_vain or monotonic() > end:
                _give_up(folder, "no labels are left" if in_vain else "the time is up", told)
    finally:
        traffic.cancel()
        with suppress(asyncio.CancelledError):
            await traffic


def _waits_for_labels(told: Told | None) -> bool:
    """Whether all that is not known yet is the accuracy, and nothing more comes of that."""
    open_ = [one.metric for one in told.metrics if not one.passed] if told else []
    return open_ == ["accuracy"]


def _give_up(folder: ServiceFolder, why: str, told: Told | None) -> None:
    """End a rollout without a verdict; the controller, where it is faster, has its way."""
    records = read(folder.ledger)
    now = progress(records)
    if now is None or now.ended:
        return
    lacking = f": {'; '.join(told.lacking)}" if told and told.lacking else ""
    decision = Decision("rolled_back", None, now.step, "", f"{why}{lacking}", False, by=BY)
    record = recorded(now, decision, Observation(now=time(), in_force=False))
    with suppress(BusyError):
        append(folder.ledger, record, after=len(records))


def _show(record: Record) -> None:
    if record.rollout:
        say(f"{record.rollout.state.replace('_', ' ')}: {record.rollout.reason}")


def _lines(told: Told | None) -> list[str]:
    """Each metric: both values, what the difference can be, and the verdict."""
    found = []
    for one in told.metrics if told else ():
        first, second = (
            "-" if value is None else f"{wording.percent(value)} %" for value in one.values
        )
        low, high = (100 * bound for bound in one.interval)
        found.append(
            f"{one.metric}: champion {first} of {one.n[0]}, challenger {second} of {one.n[1]} "
            f"{one.unit}, difference {low:+.2f} to {high:+.2f} points: "
            f"{one.word}"
        )
    return found


def _outcome(records: Sequence[Record], told: Told | None, name: str) -> Outcome:
    now, last = progress(records), records[-1].rollout
    assert now is not None
    assert last is not None
    used = now.settings.metrics.used()
    if now.state == "promoted":
        return Outcome("no_worse", f"no worse than the champion: {', '.join(used)}", name)
    worse = [metric for metric, one in last.evidence.items() if one.verdict == "worse"]
    if worse:
        return Outcome("worse", f"worse than the champion: {', '.join(worse)}", name)
    known = {one.metric for one in told.metrics if one.passed} if told else set()
    open_ = [metric for metric in used if metric not in known]
    lacking = f"too little evidence on {', '.join(open_)}" if open_ else "not all requests moved"
    return Outcome("undecided", lacking, name)
