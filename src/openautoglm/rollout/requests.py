"""What commands and pipelines ask of a service: to begin a rollout, and what of the open one."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

from openautoglm.artifacts.lock import exclusive
from openautoglm.deploy.desired import read_desired
from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.machine import check_room
from openautoglm.deploy.local.waiting import look_after
from openautoglm.deploy.resolve import resolve_alias
from openautoglm.deploy.rollout_record import Wish
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import BusyError, ConfigError, DeployError
from openautoglm.observability.progress import say
from openautoglm.rollout.plan import (
    check_objective,
    least_seconds,
    most_seconds,
    requested,
    started,
)
from openautoglm.rollout.state import Progress, progress
from openautoglm.serving.observe.metrics import LATENCY_EDGES

_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 20.0


def begin(folder: ServiceFolder, challenger: str, *, by: str, immediate: bool = False) -> Progress:
    """Begin a rollout, and say how long it may take.

    Args:
        folder: The service's.
        challenger: A version or alias.
        by: Who decides, for the ledger.
        immediate: All requests at once.

    Returns:
        Where it stands: it waits for the challenger.

    Raises:
        ConfigError: There is no such version, or it serves already, or a setting cannot be.
        BusyError: Another rollout is open, or another command is at work.
    """
    with exclusive(folder.lock):
        desired, records = read_desired(folder.desired), read(folder.ledger)
        if desired is None or not records or records[-1].kind == "delete":
            raise ConfigError(
                f"{folder.name} is not deployed", hint="openautoglm deploy -c config.yaml"
            )
        settings = desired.service.rollout
        check_objective(settings.metrics, LATENCY_EDGES)
        champion = records[-1].releases["champion"]
        found = resolve_alias(folder.project, desired.service, champion, challenger, folder.desired)
        check_room(folder)
        models = ModelStore(folder.project)
        with models.reserved():
            record = started(
                records, found.release, settings, by=by, immediate=immediate, data=found.data
            )
            found.place(models)
            append(folder.ledger, record, after=len(records))
        look_after(folder)
    now = progress([record])
    assert now is not None
    say(f"rollout {now.id}: version {found.release.version} is being started")
    if not immediate:
        least, most = least_seconds(settings) / 60, most_seconds(settings) / 86_400
        say(f"it takes {least:.0f} minutes at least, and ends by itself within {most:.0f} days")
    return now


def ask(folder: ServiceFolder, wish: Wish, *, by: str, forced: bool = False) -> Progress:
    """Ask something of the open rollout, and wait for the controller's answer.

    Args:
        folder: The service's.
        wish: What is asked for.
        by: Who asks, for the ledger.
        forced: Promote whatever the evidence says.

    Raises:
        ConfigError: No rollout is open.
        BusyError: What was asked for is refused; the message says why.
        DeployError: The controller does not answer.
    """
    with exclusive(folder.lock):
        record = _append_request(folder, wish, by, forced)
        look_after(folder)
    now = until(folder, _ANSWER_SECONDS, lambda now: now.asked is None)
    notes = [one.note for one in read(folder.ledger) if one.time >= record.time and one.note]
    if notes and notes[-1].startswith("refused"):
        raise BusyError(
            notes[-1], where=str(folder.ledger), hint=f"openautoglm rollout watch {folder.name}"
        )
    return now


def standing(folder: ServiceFolder) -> Progress:
    """Where the rollout stands that the last decision is of, open or just ended.

    Raises:
        ConfigError: It is of none.
    """
    found = progress(read(folder.ledger))
    if found is None:
        raise ConfigError(
            f"no rollout of {folder.name} is open", hint=f"openautoglm rollout start {folder.name}"
        )
    return found


def until(folder: ServiceFolder, seconds: float, done: Callable[[Progress], bool]) -> Progress:
    """Wait until a rollout is where it is wanted.

    Raises:
        ConfigError: It is no more.
        DeployError: It is not there in time.
    """
    end = monotonic() + seconds
    while not done(now := standing(folder)):
        if monotonic() > end:
            raise DeployError(
                f"nothing came of it in {seconds:g} s: rollout {now.id} is {now.state}",
                where=str(folder.logs),
                hint=f"openautoglm rollout watch {folder.name}, or logs {folder.name}",
            )
        sleep(_LOOK_SECONDS)
    return now


def words(now: Progress) -> str:
    """`rollout 3 of version 5 is rolled back: ...`."""
    state = now.state.replace("_", " ")
    return f"rollout {now.id} of version {now.challenger.version} is {state}: {now.reason}"


def _append_request(folder: ServiceFolder, wish: Wish, by: str, forced: bool) -> Record:
    """The controller may decide at any time: then the request follows that decision."""
    for _ in range(100):
        records = read(folder.ledger)
        record = requested(records, wish, by=by, forced=forced)
        try:
            append(folder.ledger, record, after=len(records))
            return record
        except BusyError:
            continue
    raise BusyError("others decide all the time", where=str(folder.ledger), hint="try again")
