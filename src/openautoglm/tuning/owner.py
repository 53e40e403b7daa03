"""Names of processes, by which another process on the same machine sees that one is gone."""

from __future__ import annotations

import os
import socket

import psutil

_CLOCK = 2.0  # seconds by which a process's start may seem to move with the clock


def myself() -> str:
    """Machine, process id and start of this process."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"


def is_gone(owner: str) -> bool:
    """Whether a process has ended; one on another machine may always be alive."""
    host, pid, began = owner.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        moved = abs(process.create_time() - float(began)) > _CLOCK
        return moved or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
