"""A component whose caller on this machine was killed ends, too.

Kubeflow's local runner starts each task below a shell, so no signal reaches it when the runner is
killed. It would go on for hours beside the next run.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from openautoglm.artifacts.lock import in_turn

_CALLER = "OPENAUTOGLM_CALLER"


@contextmanager
def calling(lock: Path) -> Iterator[dict[str, str]]:
    """Be the caller of tasks, after those of a killed one are gone.

    Args:
        lock: Held until the block, or this process, ends.

    Yields:
        The environment by which tasks know this process.
    """
    with in_turn(lock):
        yield {_CALLER: f"{os.getpid()} {lock}"}


def end_with_caller() -> None:
    """Kill this process as soon as its caller lives no more; on a cluster it has none."""
    pid, _, lock = os.environ.get(_CALLER, "").partition(" ")
    if not lock:
        return
    if not psutil.pid_exists(int(pid)):
        # The lock may be another run's by now.
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=_wait, args=(Path(lock),), daemon=True).start()


def _wait(lock: Path) -> None:
    with lock.open("a", encoding="utf-8") as stream:
        # Shared: all tasks of a killed caller get it at once, and the next caller waits for them.
        fcntl.flock(stream, fcntl.LOCK_SH)
        os.kill(os.getpid(), signal.SIGKILL)
