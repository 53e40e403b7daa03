"""Ports that nobody else gets while the tests run."""

from __future__ import annotations

import itertools
import os
import socket

HOST = "127.0.0.1"
_PORTS = range(2048, 8000, 2)
"""None that the kernel gives to outgoing connections, or a deploy to its replicas."""
_candidates = itertools.cycle(_PORTS)
for _ in range(os.getpid() * 97 % len(_PORTS)):  # another process begins elsewhere
    next(_candidates)
_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody has; it and the one after it are this process's until it ends."""
    for port in itertools.islice(_candidates, len(_PORTS)):
        if _reserve(port) and _is_free(port) and _is_free(port + 1):
            return port
    raise AssertionError("no port is free")


def _reserve(port: int) -> bool:
    """Have a name that one process at a time can have, and that ends with it."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0open-autoglm-test-port-{port}")
    except OSError:
        mark.close()
        return False
    _reserved.append(mark)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
