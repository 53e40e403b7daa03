"""From a decision to a healthy service: written down, brought up, waited for; and taken down."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from openautoglm import __version__
from openautoglm.config.service import Gateway
from openautoglm.deploy.desired import Desired, write_desired
from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.logs import last_lines
from openautoglm.deploy.local.ports import check_free
from openautoglm.deploy.local.status import Status, now, read_status
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.unit import Unit
from openautoglm.errors import ConfigError, DeployError, RouterError
from openautoglm.routing.envoy import admin

_LOOK_SECONDS = 0.05
_DRAIN_SECONDS = 10.0
_FAILING_SECONDS = 10.0
_FRESH_SECONDS = 3.0
"""A controller tells its status once a second."""
_PATIENCE_SECONDS = 10.0
_CONTROLLER = "controller"

Say = Callable[[str], None]


def check_machine(folder: ServiceFolder, gateway: Gateway) -> None:
    """Refuse what this machine does not allow, before anything is done.

    Raises:
        StoreError: The gateway's port is taken, or its host is not of this machine.
        ConfigError: This is no Linux, whose locks and /proc keep processes from running twice.
    """
    if sys.platform != "linux":
        raise ConfigError(
            f"a service runs on Linux, not on {sys.platform}", hint="openautoglm serve"
        )
    mine = {(u.host, u.port) for u in Supervisor(folder).units() if u.kind == "gateway"}
    if (gateway.host, gateway.port) not in mine:
        check_free(gateway.host, gateway.port)


def apply(folder: ServiceFolder, desired: Desired, record: Record | None) -> None:
    """Write down what is wanted, and see to it that somebody works on it.

    Args:
        folder: The service's; its lock is held.
        desired: How to serve.
        record: A new decision for the ledger; None when the last one stands.

    Raises:
        StoreError: A folder cannot be made.
    """
    folder.make()
    write_desired(folder.desired, desired)
    if record:
        append(folder.ledger, record)
    look_after(folder)


def look_after(folder: ServiceFolder) -> None:
    """Start supervisor and controller of a service where they do not run, or are of old code."""
    supervisor = Supervisor(folder)
    wanted = _controller(folder)
    for unit in supervisor.units():
        if unit.kind == "controller" and unit != wanted:
            supervisor.drop(unit.name)
    supervisor.add(wanted)
    supervisor.ensure()
    if supervisor.states()[wanted.name].state in ("FATAL", "STOPPED"):
        supervisor.start(wanted.name)


def look(folder: ServiceFolder) -> Status | None:
    """The status of now, once somebody looks after the service; None when nobody tells it."""
    since = now() if keep.holder(folder.lock_of(_CONTROLLER)) is None else _ago(_FRESH_SECONDS)
    look_after(folder)
    end = monotonic() + _PATIENCE_SECONDS
    while monotonic() < end:
        status = read_status(folder.status)
        if status and status.time >= since:
            return status
        sleep(_LOOK_SECONDS)
    return None


def _ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def wait(folder: ServiceFolder, desired: Desired, *, seconds: float, say: Say) -> Status:
    """Wait until all that is wanted is in force and healthy.

    Args:
        folder: The service's.
        desired: What was written last.
        seconds: How long.
        say: Told what is under way, whenever that changes.

    Raises:
        DeployError: It does not become healthy; what served before goes on serving.
    """
    records = len(read(folder.ledger))
    end, told, failing = monotonic() + seconds, "", None
    status = None
    while monotonic() < end:
        status = read_status(folder.status)
        if status and status.generation == desired.generation and status.records >= records:
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
    raise _unhealthy(folder, status, seconds)


def _given_up(folder: ServiceFolder) -> bool:
    """Whether nobody converges any more, because the controller ends at once each time."""
    try:
        return Supervisor(folder).states()[_CONTROLLER].state == "FATAL"
    except (DeployError, KeyError):  # it is just being started
        return False


def _unhealthy(folder: ServiceFolder, status: Status | None, seconds: float) -> DeployError:
    parts = list(status.problems) if status else ["the controller does not answer"]
    failing = [p.unit for p in status.processes if p.state == "failing"] if status else []
    unit = failing[0] if failing else _CONTROLLER
    lines = last_lines(folder, unit, 5)
    if lines:
        parts += [f"the end of {folder.log_of(unit)}:", *(f"  {line}" for line in lines)]
    doing = f" ({status.doing})" if status and status.doing else ""
    return DeployError(
        "\n".join([f"{folder.name} did not become healthy{doing}", *parts]),
        where=str(folder.logs),
        hint=f"openautoglm logs {folder.name}, then deploy again; or: "
        f"openautoglm delete {folder.name}",
    )


def take_down(folder: ServiceFolder, record: Record) -> None:
    """End a service: requests under way are answered, then every process ends.

    What stays is the ledger, which tells that it was deleted.

    Args:
        folder: The service's; its lock is held.
        record: The decision, for the ledger.
    """
    append(folder.ledger, record)  # from here on the controller leaves everything as it is
    supervisor = Supervisor(folder)
    _drain([Path(unit.admin) for unit in supervisor.units() if unit.kind == "gateway"])
    supervisor.shutdown()
    for path in folder.root.iterdir():
        if path != folder.ledger:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _drain(sockets: list[Path]) -> None:
    """Close the gateways to new requests, and wait for those under way."""
    for socket in sockets:
        with suppress(RouterError):
            admin.drain(socket)
    end = monotonic() + _DRAIN_SECONDS
    while monotonic() < end and any(_busy(socket) for socket in sockets):
        sleep(_LOOK_SECONDS)


def _busy(socket: Path) -> bool:
    try:
        return admin.active_requests(socket) > 0
    except RouterError:
        return False


def _controller(folder: ServiceFolder) -> Unit:
    """The controller of this code; another version of it is another process."""
    module = "openautoglm.deploy.local.controller"
    return Unit(
        name=_CONTROLLER,
        kind="controller",
        command=(sys.executable, "-m", module, str(folder.project.root), folder.name),
        environment={"OPENAUTOGLM_VERSION": __version__},
        start_seconds=1,
    )
