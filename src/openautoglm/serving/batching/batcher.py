"""Who calls the model, and when: the event loop for short batches, a thread for long ones."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Final, Protocol

from openautoglm.config.serving import Batching
from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.batching.job import Item, Job
from openautoglm.serving.batching.queue import Queue
from openautoglm.serving.batching.run import Runner, Scorer, Watcher, forget, inform, late
from openautoglm.serving.refusals import DEADLINE, DRAINING, QUEUE_FULL, Refusal

_STUCK_SECONDS: Final = 60.0
_SHORT_SECONDS: Final = 0.003
_SHORT_SIZE: Final = 8000  # characters; each costs half a microsecond at the worst
_SHARED_ROUNDS: Final = 8
_LONGEST_PAUSE: Final = 60  # seconds that a client is asked to wait at most


class Loop(Protocol):
    """What is needed of an event loop."""

    def call_soon(self, callback: Callable[[], object]) -> object:
        """Call this after what is being done now."""

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> object:
        """The same, from any thread."""


class Batcher:
    """Jobs in, scores out.

    While something waits, one has the *turn*: either the event loop, which reads what clients have
    sent between two batches, or the model's thread. Handing a batch to another thread and its
    scores back takes about as long as a small model needs for a row, so the loop runs by itself
    the batches that are expected to take less than 3 ms, and lets the thread have the turn when
    one would take longer, until nothing waits any more.

    Args:
        scorer: The model.
        batching: Sizes, delay and bound.
        costs: What a call of the model takes.
        loop: Runs everything that jobs are told.
        watcher: Is told of every batch.
    """

    def __init__(
        self, scorer: Scorer, batching: Batching, *, costs: Costs, loop: Loop, watcher: Watcher
    ) -> None:
        self._queue = Queue(batching, spare=costs.spare)
        self._costs = costs
        self._loop = loop
        self._most = batching.max_batch_size
        self._runner = Runner(scorer, watcher, costs, self._close_job)
        self._shared_until = 0.0
        # A delay is waited for by the thread; so is a model none of whose calls is short.
        self._thread_only = bool(batching.max_queue_delay_microseconds) or (
            costs.call >= _SHORT_SECONDS
        )
        self._lock = threading.Lock()
        self._idle = True  # nobody has the turn, or who has it sleeps until more rows come
        self._closed = False
        self._began = 0.0
        # The thread sleeps on this until it is given the turn, with a batch that was taken already.
        self._turns: SimpleQueue[list[Item]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def queue_rows(self) -> int:
        """Rows that wait."""
        return self._queue.rows

    def alive(self, now: float) -> bool:
        """Whether the model's thread runs, and is not stuck in one call for a minute."""
        began = self._began
        return self._thread.is_alive() and not (began and now - began > _STUCK_SECONDS)

    def submit(self, job: Job) -> None:
        """Let a job wait; on the event loop, as all that follows.

        Raises:
            Refusal: QUEUE_FULL, or DEADLINE when rows before it would take longer than it has, or
                DRAINING after `close`.
        """
        with self._lock:
            if self._closed:
                raise Refusal(DRAINING, "this replica is stopping")
            seconds = self._wait()
            if not self._queue.room(job.left):
                raise Refusal(
                    QUEUE_FULL,
                    f"{self._queue.rows} rows wait already",
                    hint="send fewer requests at once, or add replicas",
                    retry_after=_later(seconds),
                )
            if job.arrived + seconds > job.deadline:
                raise Refusal(
                    DEADLINE,
                    f"the rows that wait need {seconds * 1e3:.0f} ms, longer than the deadline",
                    retry_after=_later(seconds),
                )
            self._queue.add(job)
            idle, self._idle = self._idle, False
        if idle:
            if self._thread_only:
                self._turns.put([])
            else:
                # Not at once: what other clients have sent is read first, and shares the batch.
                self._loop.call_soon(self._turn)

    def cancel(self, job: Job) -> None:
        """Forget a job: nothing of it is begun any more, and `done` is not called."""
        job.cancelled = True
        job.done = forget
        self._close_job(job)

    def expire(self, now: float) -> None:
        """Refuse the jobs whose deadline passed while rows of them waited."""
        with self._lock:
            expired = self._queue.expire(now)
            for job in expired:
                job.closed = True
        for job in expired:
            job.refusal = late(job)
        inform(expired)

    def close(self) -> None:
        """Take no more jobs; the thread ends when those that wait are done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, False
        if idle:
            self._turns.put([])

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def make_way(self) -> None:
        """Somebody on this event loop needs several of its rounds for each request.

        For a second from now it gets them: rounds in which the loop has no turn lie between those
        in which it has.
        """
        self._shared_until = perf_counter() + 1.0

    def _wait(self) -> float:
        """Seconds until what waits now will have been scored, as calls went lately."""
        calls = math.ceil(self._queue.rows / self._most)
        return self._runner.pace * (
            calls * self._costs.call + self._queue.tokens * self._costs.token
        )

    def _turn(self, rounds: int = 0) -> None:
        """The event loop's turn: one batch, if it is short; after so many rounds without."""
        if rounds:
            self._loop.call_soon(partial(self._turn, rounds - 1))
            return
        with self._lock:
            items = self._queue.take()
            if not items and not self._closed:
                self._idle = True
                return
        if not (items and self._short(items)):
            self._turns.put(items)
            return
        try:
            self._runner.run(items, inform)
        finally:
            rounds = _SHARED_ROUNDS if perf_counter() < self._shared_until else 0
            self._loop.call_soon(partial(self._turn, rounds))

    def _short(self, items: list[Item]) -> bool:
        """Whether a batch is expected to take little time, tokenising included."""
        longest = max(job.lengths[place] for job, place in items)
        size = sum(len(job.rows[place]) for job, place in items)
        return size <= _SHORT_SIZE and (self._costs.seconds(len(items), longest) <= _SHORT_SECONDS)

    def _work(self) -> None:
        """The thread: its turns, until the end."""
        items = self._turns.get()
        while items or (items := self._next()):
            self._began = perf_counter()
            self._runner.run(items, self._post)
            self._began = 0.0
            items = []

    def _next(self) -> list[Item]:
        """The next batch of the thread's turn, or the first of its next turn; empty at the end."""
        while True:
            with self._lock:
                wait = self._queue.wait(perf_counter())
                if wait == 0.0 or (wait is not None and self._closed):
                    return self._queue.take()
                if self._closed:
                    return []
                self._idle = True
            with contextlib.suppress(Empty):
                if items := self._turns.get(timeout=wait):
                    return items

    def _post(self, jobs: list[Job]) -> None:
        self._loop.call_soon_threadsafe(partial(inform, jobs))

    def _close_job(self, job: Job) -> bool:
        with self._lock:
            self._queue.remove(job)
            was_open, job.closed = not job.closed, True
        return was_open


def _later(seconds: float) -> int:
    """Whole seconds after which a client should come again."""
    return min(math.ceil(seconds) or 1, _LONGEST_PAUSE)
