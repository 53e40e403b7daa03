"""What the commands of a rollout do: they write what people want, and show what comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic, sleep

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openautoglm.artifacts.lock import exclusive
from openautoglm.cli.services import decided_by, see_to
from openautoglm.deploy.desired import Desired, read_desired
from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.machine import check_room
from openautoglm.deploy.local.waiting import look_after
from openautoglm.deploy.resolve import Resolved, resolve_alias
from openautoglm.deploy.rollout_record import Wish
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import BusyError, ConfigError, DeployError
from openautoglm.observability.progress import say, working_on
from openautoglm.rollout.course import records_of
from openautoglm.rollout.plan import (
    check_objective,
    least_seconds,
    most_seconds,
    requested,
    started,
)
from openautoglm.rollout.state import Progress, progress
from openautoglm.rollout.telling import Told, read_told
from openautoglm.serving.observe.metrics import LATENCY_EDGES

_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 20.0
_MORE = 1.5
_WIDTH = 200
_COLOURS = {"no_worse": "green", "worse": "red", "undecided": "yellow"}


def start(folder: ServiceFolder, challenger: str, *, immediate: bool, seconds: float) -> None:
    """Begin a rollout, and wait until the challenger has traffic.

    Args:
        folder: The service's.
        challenger: A version or alias.
        immediate: All requests at once.
        seconds: How long to wait.

    Raises:
        ConfigError: There is no such version, or it serves already, or a setting cannot be.
        BusyError: Another rollout is open, or another command is at work.
        DeployError: It does not become ready; the rollout goes on until its deadline.
    """
    working_on("rollout")
    with exclusive(folder.lock):
        desired, records = read_desired(folder.desired), read(folder.ledger)
        if desired is None or not records or records[-1].kind == "delete":
            raise ConfigError(
                f"{folder.name} is not deployed", hint="openautoglm deploy -c config.yaml"
            )
        settings = desired.service.rollout
        check_objective(settings.metrics, LATENCY_EDGES)
        found = _challenger(folder, desired, records[-1], challenger)
        check_room(folder)
        models = ModelStore(folder.project)
        with models.reserved():
            record = started(
                records,
                found.release,
                settings,
                by=decided_by(),
                immediate=immediate,
                data=found.data,
            )
            found.place(models)
            append(folder.ledger, record, after=len(records))
        look_after(folder)
    assert record.rollout is not None
    say(f"rollout {record.rollout.id}: version {found.release.version} is being started")
    if not immediate:
        least, most = least_seconds(settings) / 60, most_seconds(settings) / 86_400
        say(f"it takes {least:.0f} minutes at least, and ends by itself within {most:.0f} days")
    now = _until(folder, seconds, lambda now: now.state != "pending")
    if now.state == "rolled_back":
        raise DeployError(
            f"{folder.name}: {_words(now)}",
            where=str(folder.logs),
            hint=f"openautoglm logs {folder.name}",
        )
    print(f"{folder.name}: {_words(now)}")
    print(f"  openautoglm rollout watch {folder.name}")


def ask(folder: ServiceFolder, wish: Wish, *, forced: bool = False) -> None:
    """Ask something of the open rollout, and wait for the controller's answer.

    Raises:
        ConfigError: No rollout is open.
        BusyError: What was asked for is refused; the message says why.
        DeployError: The controller does not answer.
    """
    working_on("rollout")
    with exclusive(folder.lock):
        record = _append_request(folder, wish, forced)
        look_after(folder)
    now = _until(folder, _ANSWER_SECONDS, lambda now: now.asked is None)
    notes = [one.note for one in read(folder.ledger) if one.time >= record.time and one.note]
    if notes and notes[-1].startswith("refused"):
        raise BusyError(
            notes[-1], where=str(folder.ledger), hint=f"openautoglm rollout watch {folder.name}"
        )
    print(f"{folder.name}: {_words(now)}")


def _append_request(folder: ServiceFolder, wish: Wish, forced: bool) -> Record:
    """The controller may decide at any time: then the request follows that decision."""
    for _ in range(100):
        records = read(folder.ledger)
        record = requested(records, wish, by=decided_by(), forced=forced)
        try:
            append(folder.ledger, record, after=len(records))
            return record
        except BusyError:
            continue
    raise BusyError("others decide all the time", where=str(folder.ledger), hint="try again")


def watch(folder: ServiceFolder) -> int:
    """Follow the rollout that is open, or show how the last one ended.

    Returns:
        0 when it was promoted, 1 when it was rolled back.

    Raises:
        ConfigError: The last decision is of no rollout.
    """
    see_to(folder)
    console, shown, before = _console(), 0, None
    number = _standing(folder).id
    while True:
        ledger = read(folder.ledger)
        records = records_of(ledger, number)
        for record in records[shown:]:
            console.print(_line(record), highlight=False)
        shown = len(records)
        now = progress(ledger)
        if now is None or now.id != number:
            raise ConfigError(
                f"rollout {number} was ended by something else", where=str(folder.ledger)
            )
        if now.ended:
            run = f"rollout {folder.name} {number}"
            console.print(f"  report and curves: mlflow ui, run `{run}`", highlight=False)
            return 0 if now.state == "promoted" else 1
        told = read_told(folder.root)
        if told and told.id == number and (before is None or _news(before, told)):
            console.print(_metrics(told))
            for why in told.lacking:
                console.print(f"  [dim]{escape(why)}[/]", highlight=False)
            before = told
        sleep(_LOOK_SECONDS)


def history(folder: ServiceFolder, *, as_json: bool) -> None:
    """Print the ledger's decisions about traffic, the first one first."""
    console = _console()
    for record in read(folder.ledger):
        if as_json:
            print(record.model_dump_json(exclude_defaults=True))
        else:
            console.print(_line(record), highlight=False)


def _console() -> Console:
    """Where nobody looks at a terminal, no line is to be cut to its width."""
    console = Console(soft_wrap=True)
    return console if console.is_terminal else Console(soft_wrap=True, width=_WIDTH)


def _challenger(
    folder: ServiceFolder, desired: Desired, record: Record, challenger: str
) -> Resolved:
    champion = record.releases["champion"]
    return resolve_alias(folder.project, desired.service, champion, challenger, folder.desired)


def _standing(folder: ServiceFolder) -> Progress:
    found = progress(read(folder.ledger))
    if found is None:
        raise ConfigError(
            f"no rollout of {folder.name} is open", hint=f"openautoglm rollout start {folder.name}"
        )
    return found


def _until(folder: ServiceFolder, seconds: float, done: Callable[[Progress], bool]) -> Progress:
    end = monotonic() + seconds
    while not done(now := _standing(folder)):
        if monotonic() > end:
            raise DeployError(
                f"nothing came of it in {seconds:g} s: rollout {now.id} is {now.state}",
                where=str(folder.logs),
                hint=f"openautoglm rollout watch {folder.name}, or logs {folder.name}",
            )
        sleep(_LOOK_SECONDS)
    return now


def _words(now: Progress) -> str:
    state = now.state.replace("_", " ")
    return f"rollout {now.id} of version {now.challenger.version} is {state}: {now.reason}"


def _line(record: Record) -> str:
    """One decision: when, what, who has which share, why, and who decided."""
    time = record.time[:19].replace("T", " ")
    shares = " ".join(f"{role}={weight}" for role, weight in record.weights.items())
    shares += f" shadow={record.shadow}" if record.shadow else ""
    if record.request:
        what, why = f"rollout {record.request.id}", f"asked to {record.request.wish}"
    elif record.rollout:
        state = record.rollout.state.replace("_", " ")
        what, why = (
            f"rollout {record.rollout.id}",
            f"{state}: {record.note or record.rollout.reason}",
        )
    else:
        what, why = record.kind, record.note
    return f"[dim]{time}[/]  {what:11}  {shares:28}  {escape(why)}  [dim]{escape(record.by)}[/]"


def _news(before: Told, now: Told) -> bool:
    """Whether there is something to show: a verdict, a reason, or half as much data again."""
    if [one.verdict for one in before.metrics] != [one.verdict for one in now.metrics]:
        return True
    if {re.sub(r"\d+", "", why) for why in before.lacking} != {
        re.sub(r"\d+", "", why) for why in now.lacking
    }:
        return True
    pairs = zip(before.metrics, now.metrics, strict=True)
    return any(sum(new.n) > _MORE * sum(old.n) for old, new in pairs)


def _metrics(told: Told) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 2))
    for name in ("metric", "champion", "challenger", "difference can be", "verdict"):
        table.add_column(name)
    for one in told.metrics:
        arms = [
            "-" if value is None else f"{100 * value:.2f} % of {n}"
            for value, n in zip(one.values, one.n, strict=True)
        ]
        low, high = (100 * bound for bound in one.interval)
        colour = _COLOURS["no_worse" if one.passed and one.verdict != "worse" else one.verdict]
        verdict = f"[{colour}]{one.word}[/]"
        table.add_row(one.metric, *arms, f"{low:+.2f} to {high:+.2f} points", verdict)
    return table
