"""Where a replica listens, and who is there already."""

from __future__ import annotations

import socket
from typing import NamedTuple

import psutil

from openautoglm.errors import StoreError


class Places(NamedTuple):
    """Host and ports; 0 takes a free port, None as `grpc_port` no gRPC.

    `reuse_port`: several replicas share the ports, the kernel spreads connections over them.
    """

    host: str
    port: int
    grpc_port: int | None
    reuse_port: bool


def listen(places: Places) -> socket.socket:
    """A bound TCP socket for HTTP, not listening yet.

    Raises:
        StoreError: The port is taken, or the host is not of this machine.
    """
    family = socket.AF_INET6 if ":" in places.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if places.reuse_port:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((places.host, places.port))
    except OSError as error:
        found.close()
        raise refused(places.host, places.port, error) from None
    return found


def refused(host: str, port: int, error: OSError) -> StoreError:
    """Why a port cannot be had, naming who has it where that can be seen."""
    owner = _owner(port)
    taken = f"the port is taken by {owner}" if owner else f"cannot listen: {error.strerror}"
    return StoreError(
        taken,
        where=f"{host}:{port}",
        hint="end that process, or choose another port; 0 takes a free one",
    )


def _owner(port: int) -> str | None:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None
    for one in connections:
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
            try:
                return f"process {one.pid} ({psutil.Process(one.pid).name()})"
            except psutil.Error:
                return f"process {one.pid}"
    return None
