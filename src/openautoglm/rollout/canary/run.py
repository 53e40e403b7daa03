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
from openautoglm.rollout import series, wording
from openautoglm.rollout.canary.replay import Replay
from openautoglm.rollout.canary.service import BY, begin, folder_of, own_service
from openautoglm.rollout.canary.sides import Sides, sides
from openautoglm.rollout.course import records_of
from openautoglm.rollout.gathering import listens
from openautoglm.rollout.ledger import recorded
from openautoglm.rollout.machine import Decision
from openautoglm.rollout.observation import Observation
from openautoglm.rollout.points import Point
from openautoglm.rollout.state import Progress, progress
from openautoglm.rollout.telling import Told, read_told

Finding = Literal["no_worse", "worse", "undecided"]
_STAGE_SECONDS = 2.0
_END_SECONDS = 8.0
"""Kept back for the end: the processes are drained and ended."""
_NEWS_SECONDS = 5.0
"""After the last label, until whatever it says has been taken in."""
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Outcome:
    """What a minute side by side came to.

    Attributes:
        verdict: `undecided` where the replay split or the time was too little.
        reason: In words, without figures that another run would find otherwise.
        service: The canary's, which is no more.
        records: The decisions of its rollout; none when nothing was started.
        points: Its curves.
    """

    verdict: Finding
    reason: str
    service: str
    records: Sequence[Record] = ()
    points: Sequence[Point] = ()

    @property
    def run(self) -> str:
        """The rollout's run in MLflow, once it is published."""
        told = self.records[-1].rollout if self.records else None
        return f"rollout {self.service} {told.id if told else ''}".rstrip()


def compare(
    project: Project,
    model: str,
    champion: str,
    challenger: str,
    rows: Sequence[Row],
    labels: Sequence[str],
    settings: CanarySettings,
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
        with both.placed():
            if both.differ:
                return Outcome("undecided", both.differ, folder.name)
            _say_unknown(both, labels)
            url = begin(folder, both, rollout_settings(settings), end=end)
        say(f"versions {champion} and {challenger} are ready; {len(rows)} rows are replayed")
        replay = Replay(url, rows, labels, clients=settings.clients)
        told = asyncio.run(_watched(folder, replay, end))
        records = read(folder.ledger)
        number = max(one.rollout.id for one in records if one.rollout)
        own = records_of(records, number)
        points = series.read(series.file_of(folder.root, number))
    for line in _lines(own, told):
        say(line)
    say(replay.told())
    finding, reason = _finding(own, told)
    return Outcome(finding, reason, folder.name, own, points)


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
            if not replay.labels_are_told and _compares(folder, now, told):
                replay.tell_labels()
            if replay.whole and whole is None:
                whole = monotonic()
            in_vain = whole and monotonic() - whole > _NEWS_SECONDS and _waits_for_labels(told)
            if in_vain or monotonic() > end:
                _give_up(folder, "no labels are left" if in_vain else "the time is up", told)
    finally:
        traffic.cancel()
        with suppress(asyncio.CancelledError):
            await traffic


def _compares(folder: ServiceFolder, now: Progress, told: Told | None) -> bool:
    """Whether copies are made, and answers are read: a label told before would be lost."""
    ready = told is not None and told.in_force and now.place == "shadow"
    return ready and listens(folder.root / "gathered.json", now.id)


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


def _lines(records: Sequence[Record], told: Told | None) -> list[str]:
    """Each metric: both shares, what the difference can be, what is allowed, and the verdict."""
    now = progress(records)
    found = []
    for one in told.metrics if told and now else ():
        assert now is not None
        name, margin = wording.metric(now.settings, one.metric), _margin(now, one.metric)
        arms = [
            f"{'-' if value is None else f'{wording.percent(value)} %'} of {count}"
            for value, count in zip(one.values, one.n, strict=True)
        ]
        low, high = (100 * bound for bound in one.interval)
        found.append(
            f"{name}: champion {arms[0]}, challenger {arms[1]} {one.unit}, "
            f"difference {low:+.2f} to {high:+.2f} points, margin {margin:g}: {one.word}"
        )
    return found


def _margin(now: Progress, metric: str) -> float:
    found: float = getattr(now.settings.metrics, metric).margin
    return found


def _say_unknown(both: Sides, labels: Sequence[str]) -> None:
    """Labels that the champion has no class for cannot be told of its answers."""
    if unknown := sorted(set(labels) - set(both.champion_labels)):
        rows = sum(label in unknown for label in labels)
        shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        say(f"{rows} rows are of classes that the champion does not have ({shown}): not compared")


def _finding(records: Sequence[Record], told: Told | None) -> tuple[Finding, str]:
    now, last = progress(records), records[-1].rollout
    assert now is not None
    assert last is not None
    used = now.settings.metrics.used()
    if now.state == "promoted":
        return "no_worse", f"no worse than the champion: {', '.join(used)}"
    worse = [metric for metric, one in last.evidence.items() if one.verdict == "worse"]
    if worse:
        return "worse", f"worse than the champion: {', '.join(worse)}"
    known = {one.metric for one in told.metrics if one.passed} if told else set()
    open_ = [metric for metric in used if metric not in known]
    if open_:
        return "undecided", f"too little evidence on {', '.join(open_)}"
    return "undecided", "it did not come to its end in time"
