"""Seeing to it that somebody looks after a service, and waiting for what comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from openautoglm.artifacts.lock import exclusive
from openautoglm.config.project import Project
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import last, now, read
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder, interpreter
from openautoglm.deploy.local.logs import last_lines
from openautoglm.deploy.local.status import Status, read_status
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.unit import Unit
from openautoglm.errors import BusyError, DeployError

CONTROLLER = "controller"
_LOOK_SECONDS = 0.05
_STUCK_SECONDS = 20.0
_PATIENCE_SECONDS = 10.0
_FAILING_SECONDS = 10.0
_SHOWN_LINES = 5
_TELLING = re.compile(r"error|critical|assert|fatal|exception", re.IGNORECASE)


def look_after(folder: ServiceFolder, *, code: str | None = None) -> None:
    """Start supervisor and controller of a service where they do not run, or hang.

    Nothing is started for a service that was deleted, not even when the delete was cut off.

    Args:
        folder: The service's; its lock is held.
        code: The code that is wanted: a controller of another one is replaced. None leaves it.
    """
    if last(folder.ledger) is None or not folder.desired.is_file():
        return
    supervisor = Supervisor(folder)
    there = {unit.name: unit for unit in supervisor.units()}
    wanted = controller_unit(folder.project, folder.name, code or "")
    if CONTROLLER in there and _is_other(there[CONTROLLER], wanted, code):
        supervisor.drop(CONTROLLER)
        there.pop(CONTROLLER)
    if CONTROLLER not in there:
        supervisor.add(wanted)
    supervisor.ensure()
    if supervisor.states()[CONTROLLER].state in ("FATAL", "STOPPED"):
        supervisor.start(CONTROLLER)
    elif _stuck(folder):
        supervisor.restart(CONTROLLER)


def see_to(folder: ServiceFolder) -> None:
    """See to it that somebody looks after a service; a command at work on it does so itself."""
    with suppress(BusyError), exclusive(folder.lock):
        look_after(folder)


def _is_other(there: Unit, wanted: Unit, code: str | None) -> bool:
    """Whether a controller is of other code, or of the place where the project was before."""
    if code is None:
        return there.command[:-1] != wanted.command[:-1]
    return there != wanted


def controller_unit(project: Project, name: str, code: str) -> Unit:
    """The controller of a service, run by this interpreter.

    Args:
        project: Whose.
        name: The service's.
        code: What it is part of; another one makes it another unit.
    """
    return Unit(
        name=CONTROLLER,
        kind="controller",
        command=(interpreter(), "-m", "openautoglm", "control", str(project.root), name, code),
        start_seconds=1,
    )


def fresh(folder: ServiceFolder) -> Status | None:
    """What the controller tells from now on; None when it tells nothing for ten seconds.

    What it told before may be of a service that has died since.
    """
    since, end = now(), monotonic() + _PATIENCE_SECONDS
    while monotonic() < end:
        status = read_status(folder.status)
        if status and status.time >= since:  # it tells its status once a second
            return status
        sleep(_LOOK_SECONDS)
    return None


def wait(
    folder: ServiceFolder, desired: Desired, *, seconds: float, say: Callable[[str], None]
) -> Status:
    """Wait until all that is wanted is in force and healthy.

    Args:
        folder: The service's.
        desired: What was written last.
        seconds: How long.
        say: Told what is under way, whenever that changes.

    Raises:
        DeployError: It does not become healthy; what served before goes on serving.
    """
    records, since = len(read(folder.ledger)), now()
    end, told, failing = monotonic() + seconds, "", None
    status = None
    while monotonic() < end:
        status = read_status(folder.status)
        reached = status and status.generation == desired.generation and status.records >= records
        if status and reached and status.time >= since:
            if status.healthy:
                return status
            if status.doing != told:
                told = status.doing
                say(told)
            failing = (failing or monotonic()) if status.problems else None
            if failing and monotonic() - failing > _FAILING_SECONDS:
                break
        elif _given_up(folder):
            break
        sleep(_LOOK_SECONDS)
    raise _unhealthy(folder, status, since)


def _ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _stuck(folder: ServiceFolder) -> bool:
    """Whether the controller lives and has told nothing for long."""
    status, pid = read_status(folder.status), keep.holder(folder.lock_of(CONTROLLER))
    if status is None or pid is None or status.time >= _ago(_STUCK_SECONDS):
        return False
    try:
        started = Path(f"/proc/{pid}").stat().st_ctime
    except OSError:
        return False
    return datetime.now(UTC).timestamp() - started > _STUCK_SECONDS


def _given_up(folder: ServiceFolder) -> bool:
    """Whether nobody converges any more, because the controller ends at once each time."""
    try:
        return Supervisor(folder).states()[CONTROLLER].state == "FATAL"
    except (DeployError, KeyError):  # it is just being started
        return False


def _unhealthy(folder: ServiceFolder, status: Status | None, since: str) -> DeployError:
    if status and status.time < since:
        status = None
    parts = list(status.problems) if status else ["its controller tells nothing"]
    failing = [p.unit for p in status.processes if p.state == "failing"] if status else []
    unit = failing[0] if failing else CONTROLLER
    lines = _telling_lines(folder, unit)
    if lines:
        parts += [f"from {folder.log_of(unit)}:", *(f"  {line}" for line in lines)]
    doing = f" ({status.doing})" if status and status.doing else ""
    return DeployError(
        "\n".join([f"{folder.name} did not become healthy{doing}", *parts]),
        where=str(folder.logs),
        hint=f"openautoglm logs {folder.name}, then deploy again; or: "
        f"openautoglm delete {folder.name}",
    )


def _telling_lines(folder: ServiceFolder, unit: str) -> list[str]:
    """The last lines of a log that name an error, else the last ones."""
    lines = list(dict.fromkeys(last_lines(folder, unit, 200)))
    telling = [line for line in lines if _TELLING.search(line)]
    return (telling or lines)[-_SHOWN_LINES:]
