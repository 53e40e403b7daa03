"""What this machine must allow before a service is deployed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep

import psutil

from openautoglm.config.gateway import Gateway
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.ports import check_free
from openautoglm.errors import BusyError, ConfigError, StoreError

_ROOM = 256 << 10
_ENDING_SECONDS, _LOOK_SECONDS = 10.0, 0.1


def check_platform() -> None:
    """Refuse systems whose locks and processes we cannot see.

    Raises:
        ConfigError: This is no Linux.
    """
    if sys.platform != "linux":
        raise ConfigError(
            f"a service runs on Linux, not on {sys.platform}", hint="openautoglm serve"
        )


def check_room(folder: ServiceFolder) -> None:
    """See whether the disk has room for a decision and what follows from it.

    Raises:
        OSError: It is full or read-only; nothing was changed.
    """
    probe = folder.root / f".room-{os.getpid()}"
    try:
        probe.write_bytes(bytes(_ROOM))
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def gateway_port(folder: ServiceFolder, gateway: Gateway, where: str) -> Iterator[None]:
    """Have the gateway's port for as long as the block lasts: nobody else deploys on it then.

    Envoys share their port with whoever is of the same user, so a port that two services were
    given would be answered by either.

    Args:
        folder: The service's.
        gateway: Host and port.
        where: The key, for messages.

    Raises:
        StoreError: The port is taken, or the host is not of this machine.
        BusyError: Another deploy is just about to take it.
    """
    with closing(socket.socket(socket.AF_UNIX)) as reserved:
        try:
            # No file: the kernel forgets it with this process.
            reserved.bind(f"\0openautoglm-{os.getuid()}-port-{gateway.port}")
        except OSError:
            raise BusyError(
                f"another deploy is just about to take port {gateway.port}",
                where=where,
                hint="wait until it ends, or choose another `gateway.port`",
            ) from None
        _check(folder, gateway, where)
        yield


def _check(folder: ServiceFolder, gateway: Gateway, where: str) -> None:
    try:
        check_free(gateway.host, gateway.port)
    except StoreError as error:
        holders = _listeners(gateway.port)
        end = monotonic() + _ENDING_SECONDS
        while holders & (own := _gateways(folder)):
            if holders <= own:
                return  # the service's own, which goes on with its new settings
            if monotonic() > end:
                break
            sleep(_LOOK_SECONDS)  # beside it, one of its own may be ending
            holders = _listeners(gateway.port)
        error.where = where
        services = folder.root.parent
        others = [one for one in services.iterdir() if one.is_dir()] if services.is_dir() else []
        for other in others:
            if holders & _gateways(ServiceFolder(folder.project, other.name)):
                raise StoreError(
                    f"the port is taken by the gateway of the service {other.name}",
                    where=where,
                    hint=f"choose another `gateway.port`, or: openautoglm delete {other.name}",
                ) from None
        raise


def _listeners(port: int) -> set[int]:
    """Processes that listen on a port, at any address."""
    return {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid
    }


def _gateways(folder: ServiceFolder) -> set[int]:
    """Processes of a service's gateway."""
    found = (keep.holder(lock) for lock in folder.running.glob("gateway-*.lock"))
    return {pid for pid in found if pid is not None}
