"""Run register in a process of its own, and SIGKILL it at its n-th commit or artifact write.

The processes come from a fork server that has imported everything once, so that one more costs
little.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.registry"])


def register_until(root: Path, stop: int | None) -> int | None:
    """Register the project's model; die at event `stop`, counted from 1.

    Returns:
        How many events there were; None when the process was killed.
    """
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_register, args=(root, stop, there))
    process.start()
    there.close()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0
    count: int = here.recv()
    return count


def _register(root: Path, stop: int | None, answer) -> None:
    import sqlalchemy

    from tests.support.registry import Chain

    count = 0

    def tick(*_: object) -> None:
        nonlocal count
        count += 1
        if count == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[0], str) and "mlartifacts" in arguments[0]:
            writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes:
                tick()

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", tick)
    sys.addaudithook(audit)
    Chain(root).register()
    answer.send(count)
