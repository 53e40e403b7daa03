"""One holder at a time, and a second caller is told who it is."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openautoglm.errors import BusyError


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` as a lock; the kernel releases it however this process ends.

    Raises:
        BusyError: Another process holds it; the message names its command and id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise BusyError(
                f"{holder} is at work here", where=str(path), hint="wait until it ends, then again"
            ) from error
        stream.truncate(0)
        stream.write(f"`{' '.join(sys.argv)}` (process {os.getpid()})")
        stream.flush()
        yield


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold `path` as a lock, after whoever holds it now: for work that is done once for all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
