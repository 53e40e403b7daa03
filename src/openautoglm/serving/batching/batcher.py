"""One thread that takes a batch whenever the model is free, and tells the event loop."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from openautoglm.config.serving import Batching
from openautoglm.serving.batching.job import Item, Job, Rows
from openautoglm.serving.batching.queue import Queue
from openautoglm.serving.refusals import DEADLINE, DRAINING, FAILED, QUEUE_FULL, Refusal

_STUCK_SECONDS = 60.0


class Scorer(Protocol):
    """A model, called from one thread."""

    def encode(self, rows: Rows) -> NDArray[np.int64] | NDArray[np.float32]:
        """Rows as the input of `score`."""

    def score(self, values: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities `float32[rows, labels]`."""


class Watcher(Protocol):
    """Is told what happens, from the batcher's thread."""

    def batch(self, rows: int, tokenise_seconds: float, infer_seconds: float) -> None:
        """A batch was scored."""


class Batcher:
    """Jobs in, scores out.

    Args:
        scorer: The model.
        batching: Sizes, delay and bound.
        spare: Padding tokens that cost as much as one call of the model.
        post: Has a function called on the event loop, from any thread.
        watcher: Is told of every batch.
    """

    def __init__(
        self,
        scorer: Scorer,
        batching: Batching,
        *,
        spare: float,
        post: Callable[[Callable[[], None]], object],
        watcher: Watcher,
    ) -> None:
        self._scorer = scorer
        self._queue = Queue(batching, spare=spare)
        self._post = post
        self._watcher = watcher
        self._lock = threading.Lock()
        # The thread sleeps here. A condition variable would do, but takes twice as long to wake.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._idle = False
        self._closed = False
        self._row_seconds = 0.0
        self._began = 0.0
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
        """Let a job wait.

        Raises:
            Refusal: QUEUE_FULL, or DEADLINE when rows before it would take longer than it has, or
                DRAINING after `close`.
        """
        with self._lock:
            if self._closed:
                raise Refusal(DRAINING, "this replica is stopping")
            seconds = self._queue.rows * self._row_seconds
            if not self._queue.room(job.left):
                raise Refusal(
                    QUEUE_FULL,
                    f"{self._queue.rows} rows wait already",
                    hint="send fewer requests at once, or add replicas",
                    retry_after=math.ceil(seconds) or 1,
                )
            if job.arrived + seconds > job.deadline:
                raise Refusal(
                    DEADLINE,
                    f"the rows that wait need {seconds * 1e3:.0f} ms, longer than the deadline",
                    retry_after=math.ceil(seconds) or 1,
                )
            self._queue.add(job)
            idle, self._idle = self._idle, False
        if idle:
            self._wake.put(None)

    def cancel(self, job: Job) -> None:
        """Forget a job: nothing of it is begun any more, and `done` is not called."""
        job.cancelled = True
        with self._lock:
            job.closed = True
            self._queue.remove(job)

    def expire(self, now: float) -> None:
        """Refuse the jobs whose deadline passed while rows of them waited."""
        with self._lock:
            expired = self._queue.expire(now)
            for job in expired:
                job.closed = True
        for job in expired:
            job.refusal = _late(job)
        _tell(expired)

    def close(self) -> None:
        """Take no more jobs; the thread ends when those that wait are done."""
        with self._lock:
            self._closed = True
        self._wake.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while items := self._next():
            self._began = perf_counter()
            self._run(items)
            self._began = 0.0

    def _next(self) -> list[Item]:
        """The next batch; empty at the end."""
        while True:
            with self._lock:
                wait = self._queue.wait(perf_counter())
                if wait == 0.0 or (wait is not None and self._closed):
                    return self._queue.take()
                if self._closed:
                    return []
                self._idle = True
            with contextlib.suppress(Empty):
                self._wake.get(timeout=wait)

    def _run(self, items: list[Item]) -> None:
        """Score a batch; one that fails is halved until the row that fails stands alone."""
        begun = perf_counter()
        items = [item for item in items if self._wanted(item[0], begun)]
        if not items:
            return
        try:
            values = self._scorer.encode(_rows(items))
            tokenised = perf_counter()
            scores = self._scorer.score(values).tolist()
        except Exception as error:  # whatever a model raises must not end the thread
            self._halve(items, error)
            return
        inferred = perf_counter()
        finished = []
        for (job, place), row in zip(items, scores, strict=True):
            job.scores[place] = row
            job.left -= 1
            if not job.left and not job.closed:
                job.begun, job.tokenised, job.inferred = begun, tokenised, inferred
                job.closed = True
                finished.append(job)
        if finished:
            self._post(partial(_tell, finished))
        # Nobody waits for what is left to do.
        seconds = (inferred - begun) / len(items)
        self._row_seconds += (seconds - self._row_seconds) * (0.1 if self._row_seconds else 1.0)
        self._watcher.batch(len(items), tokenised - begun, inferred - tokenised)

    def _wanted(self, job: Job, now: float) -> bool:
        """Whether a row of this job is still to be scored."""
        job.taken = job.taken or now
        if job.deadline <= now:
            self._fail(job, _late(job))
        return not job.closed

    def _halve(self, items: list[Item], error: Exception) -> None:
        if len(items) > 1:
            self._run(items[: len(items) // 2])
            self._run(items[len(items) // 2 :])
            return
        job, place = items[0]
        where = f"row {place}" if len(job.rows) > 1 else None
        problem = Refusal(FAILED, f"the model failed: {type(error).__name__}", where=where)
        problem.__cause__ = error
        self._fail(job, problem)

    def _fail(self, job: Job, refusal: Refusal) -> None:
        with self._lock:
            self._queue.remove(job)
            known, job.closed = job.closed, True
        if not known:
            job.refusal = refusal
            self._post(partial(_tell, [job]))


def _rows(items: Sequence[Item]) -> Rows:
    return cast(Rows, [job.rows[place] for job, place in items])


def _late(job: Job) -> Refusal:
    waited = (job.deadline - job.arrived) * 1e3
    return Refusal(DEADLINE, f"not begun within its deadline of {waited:.0f} ms")


def _tell(jobs: Sequence[Job]) -> None:
    for job in jobs:
        # What is told knows the job: left as it is, the two would keep its rows alive.
        done, job.done = job.done, _nothing
        if not job.cancelled:
            done(job)


def _nothing(job: Job) -> None:
    """In the place of a callback that was called."""
