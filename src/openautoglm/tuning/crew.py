"""Processes that claim trials beside the caller, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from openautoglm.errors import StepError
from openautoglm.observability.progress import say, working_on
from openautoglm.tuning.attempt import attempt
from openautoglm.tuning.queue import opened_queue
from openautoglm.tuning.space import Space
from openautoglm.tuning.storage import Storage
from openautoglm.tuning.trials import Objective, Plan

_POLL = 0.2  # seconds between two looks into the queue, which other machines fill too
_PARENT = 0.5  # seconds between two looks at the caller
_LEAVE = 1.0  # seconds that a worker without work gets to end by itself


@dataclass(frozen=True)
class Work:
    """All that a worker needs, picklable.

    Attributes:
        objective: What runs a point.
        space: Where points lie.
        plan: How the search goes.
        storage: Where trials are claimed.
        step: The step that progress lines belong to.
    """

    objective: Objective
    space: Space
    plan: Plan
    storage: Storage
    step: str


class Crew:
    """Worker processes of one search; see `crew`."""

    def __init__(self, work: Work, size: int) -> None:
        self._work, self._size = work, size
        self._members: dict[Connection, BaseProcess] = {}

    def start(self) -> None:
        """Start the workers, once."""
        context = multiprocessing.get_context("spawn")
        for _ in range(self._size):
            here, there = context.Pipe()
            process = context.Process(target=_member, args=(self._work, there, os.getpid()))
            process.start()
            there.close()
            self._members[here] = process
        self._size = 0

    def listen(self, seconds: float = 0.0) -> None:
        """Hear what workers have to say, waiting at most so long for the first word.

        Raises:
            Exception: What a worker's objective raised.
        """
        for connection in wait(list(self._members), seconds):
            assert isinstance(connection, Connection)
            try:
                error = connection.recv()
            except (EOFError, ConnectionError):
                connection.close()
                process = self._members.pop(connection)
                process.join()
                say(f"a worker died ({process.exitcode}); its trial is run again")
                continue
            if error is not None:
                self._members[connection].join(_LEAVE)  # it has its trial to put down
                raise error

    def end(self, grace: float) -> None:
        """Close the line, and end who has not left within the grace, in seconds."""
        for connection in self._members:
            connection.close()
        for process in self._members.values():
            process.join(grace)
            process.terminate()
            process.join(_LEAVE)
            process.kill()
            process.join()
        self._members.clear()


@contextmanager
def crew(work: Work, size: int) -> Iterator[Crew]:
    """So many workers, none of which outlives the block."""
    found = Crew(work, size)
    grace = 0.0
    try:
        yield found
        grace = _LEAVE
    finally:
        found.end(grace)


def _member(work: Work, caller: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends its workers itself
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    working_on(work.step)
    # The caller's end of the line closes when the caller has no more work, or is gone.
    with suppress(OSError), opened_queue(work.storage, work.space, work.plan) as queue:
        while True:
            claim = queue.claim()
            if claim is None:
                if caller.poll(_POLL):
                    return
                continue
            try:
                attempt(queue, claim, work.objective, work.space, work.plan)
            except BaseException as error:
                # First, so that the caller does not queue the trial again.
                caller.send(_portable(error))
                queue.abandon(claim)
                return
            caller.send(None)


def _end_with(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_PARENT)
    os._exit(1)


def _portable(error: BaseException) -> BaseException:
    """The same error, or one that can cross to the caller, with this process's traceback."""
    try:
        found: BaseException = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    except Exception:
        found = StepError(f"a trial raised {type(error).__name__}: {error}")
    found.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    return found
