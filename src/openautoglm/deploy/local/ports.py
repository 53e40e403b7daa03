"""Ports of this machine."""

from __future__ import annotations

import errno
import hashlib
import socket
from collections.abc import Collection
from pathlib import Path

from openautoglm.errors import StoreError
from openautoglm.serving.listen import Places, listen

_FIRST, _LAST = 10_240, 65_535
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_pair(taken: Collection[int], *, seed: str) -> tuple[int, int]:
    """Two ports of 127.0.0.1 that are free now.

    They are none of those that the kernel gives to outgoing connections. Where the search begins
    depends on `seed`, so that two projects seldom want the same ones at the same moment.

    Args:
        taken: Ports that are not to be had although they may be free.
        seed: Anything that names the caller; the same one gets the same ports.

    Raises:
        StoreError: No two are free.
    """
    ports = _candidates()
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") % len(ports)
    found: list[int] = []
    for port in ports[start:] + ports[:start]:
        if port not in taken and is_free("127.0.0.1", port):
            found.append(port)
        if len(found) == 2:
            return found[0], found[1]
    raise StoreError(
        "no two ports are free", where="127.0.0.1", allowed=f"{ports[0]} to {ports[-1]}"
    )


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens on a port; an address of another machine has none that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections that have ended keep nobody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return False
    return True


def check_free(host: str, port: int) -> None:
    """Refuse a port of the gateway that somebody has.

    Raises:
        StoreError: It is taken, by the process that is named; or it cannot be had, or the host is
            not of this machine.
    """
    try:
        listen(Places(host, port, None, reuse_port=False)).close()
    except StoreError as error:
        if error.where == "--host":
            raise StoreError(error.what, where="gateway.host", allowed=error.allowed) from None
        taken = "taken" in error.what
        raise StoreError(
            error.what,
            where=f"gateway.port: {error.where}" if taken else f"gateway: {error.where}",
            hint="end that process, or set `gateway.port` to another one" if taken else error.hint,
        ) from None


def _candidates() -> list[int]:
    try:
        low, high = map(int, _OUTGOING.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        low, high = 32_768, 60_999
    found = [port for port in range(_FIRST, _LAST + 1) if not low <= port <= high]
    return found if len(found) > 1 else list(range(_FIRST, _LAST + 1))
