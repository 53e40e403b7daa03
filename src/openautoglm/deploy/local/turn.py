"""One at a time at a service's processes, and nobody waits for ever."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from openautoglm.deploy.local import keep
from openautoglm.errors import BusyError

_PAUSE = 0.02


@contextmanager
def turn(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold `path` as a lock, after whoever holds it now; the kernel frees it with this process.

    Nothing is written: a full disk keeps nobody from looking after a service.

    Args:
        path: The file.
        seconds: How long to wait.

    Raises:
        BusyError: It is not free in time; the message names the command that has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = monotonic() + seconds
    with path.open("a", encoding="utf-8") as stream:
        while not _taken(stream.fileno()):
            if monotonic() > end:
                raise BusyError(
                    f"{_who(path)} is at work here",
                    where=str(path),
                    hint="wait until it ends, then again",
                )
            sleep(_PAUSE)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who(path: Path) -> str:
    for pid in keep.having(path):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        return f"`{os.fsdecode(b' '.join(words)).strip()}` (process {pid})"
    return "another process"
