"""Deciding on a service, and taking it down."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from openautoglm.deploy.desired import Desired, write_desired
from openautoglm.deploy.ledger import Record, append
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.machine import check_room
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.waiting import look_after
from openautoglm.errors import RouterError
from openautoglm.routing.envoy import admin

_LOOK_SECONDS = 0.05
_DRAIN_SECONDS = 10.0


def apply(
    folder: ServiceFolder, desired: Desired, record: Record | None, *, after: int | None = None
) -> None:
    """Write down what is wanted, and see to it that somebody works on it.

    Args:
        folder: The service's; its lock is held.
        desired: How to serve.
        record: A new decision for the ledger; None when the last one stands.
        after: How many decisions it rests on.

    Raises:
        BusyError: A rollout has decided meanwhile.
        StoreError: A folder cannot be made.
        OSError: The disk is full or read-only.
    """
    Supervisor(folder).claim()  # of a copy, nothing is another service's from here on
    folder.make()
    check_room(folder)
    write_desired(folder.desired, desired)
    if record:
        append(folder.ledger, record, after=after)
    look_after(folder, code=desired.code)


def take_down(folder: ServiceFolder, record: Record) -> None:
    """End a service: requests under way are answered, then every process ends.

    What stays is the ledger, which tells that it was deleted.

    Args:
        folder: The service's; its lock is held.
        record: The decision, for the ledger.
    """
    try:
        append(folder.ledger, record)  # from here on the controller leaves everything as it is
        written = True
    except OSError:  # a full disk must keep nothing alive, and what is removed makes room
        written = False
    supervisor = Supervisor(folder)
    _drain([Path(unit.admin) for unit in supervisor.units() if unit.kind == "gateway"])
    supervisor.shutdown()
    for path in folder.root.iterdir():
        if path != folder.ledger:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    if not written:
        append(folder.ledger, record)


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
