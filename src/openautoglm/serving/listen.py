"""Where a replica listens, and who is there already."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

import psutil

from openautoglm.errors import ConfigError, StoreError

Address = IPv4Address | IPv6Address
_BACKLOG = 1024


class Places(NamedTuple):
    """Host and ports; 0 takes a free port, None as `grpc_port` no gRPC.

    `reuse_port`: several replicas share the ports, the kernel spreads connections over them.
    """

    host: str
    port: int
    grpc_port: int | None
    reuse_port: bool


def check_ports(places: Places) -> None:
    """Look at the ports before anything costs time.

    Raises:
        ConfigError: HTTP and gRPC would share one.
    """
    if places.port and places.port == places.grpc_port:
        raise ConfigError(
            f"{places.port} is the port for HTTP already",
            where="--grpc-port",
            allowed="another port; 0 takes a free one, -1 serves no gRPC",
        )


def listen(places: Places) -> socket.socket:
    """A TCP socket for HTTP that listens: nobody else can take the port from now on.

    Raises:
        ConfigError: HTTP and gRPC would share a port.
        StoreError: The port is taken, or the host is not of this machine.
    """
    check_ports(places)
    found = None
    try:
        family, address = _resolve(places.host, places.port)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if places.reuse_port:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind(address)
        # Two may bind what nobody listens on; only one may listen.
        found.listen(_BACKLOG)
    except OSError as error:
        if found:
            found.close()
        raise refused(places.host, places.port, error) from None
    return found


def refused(host: str, port: int, error: OSError) -> StoreError:
    """Why a port cannot be had, naming who has it where that can be seen."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        owner = _owner(host, port)
        end = "end that process, or " if owner else ""
        return StoreError(
            f"the port is taken by {owner}" if owner else "the port is taken",
            where=where,
            hint=f"{end}choose another port; 0 takes a free one",
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return StoreError(
            f"`{host}` is no address of this machine",
            where="--host",
            allowed="an address of this machine: 127.0.0.1, 0.0.0.0",
        )
    hint = "choose a port from 1024 on; 0 takes a free one" if error.errno == errno.EACCES else None
    return StoreError(f"cannot listen: {error.strerror}", where=where, hint=hint)


def _resolve(host: str, port: int) -> list[tuple[int, Any]]:
    """Families and socket addresses of a host, IPv4 first.

    Raises:
        socket.gaierror: It has none.
    """
    try:
        # An empty host would otherwise mean every address.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM) if host else []
    except UnicodeError:  # no host name by its form: an empty or very long label
        found = []
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no such host")
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    return [(family, address) for family, _, _, _, address in found]


def _owner(host: str, port: int) -> str | None:
    """Who listens on a port at an address of the host, or at every address."""
    try:
        wanted = [_plain(str(address[0])) for _, address in _resolve(host, port)]
        connections = psutil.net_connections("tcp")
    except (OSError, psutil.Error):
        return None
    for one in connections:
        if one.status != psutil.CONN_LISTEN or not (one.laddr and one.pid):
            continue
        there = _plain(one.laddr.ip)
        if one.laddr.port == port and any(_collide(there, each) for each in wanted):
            try:
                return f"process {one.pid} ({psutil.Process(one.pid).name()})"
            except psutil.Error:
                return f"process {one.pid}"
    return None


def _plain(text: str) -> Address:
    found = ip_address(text)
    return getattr(found, "ipv4_mapped", None) or found


def _collide(one: Address, other: Address) -> bool:
    # The IPv6 wildcard takes IPv4 too.
    everywhere = [address for address in (one, other) if address.is_unspecified]
    return one == other or any(
        wild.version == 6 or one.version == other.version for wild in everywhere
    )
