"""What both protocols ask: rows in, scores out, with admission, deadline and cache."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from openautoglm.config.serving import Serving
from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.serving.batching.batcher import Batcher
from openautoglm.serving.batching.job import Job, Row, Rows
from openautoglm.serving.cache import Cache
from openautoglm.serving.observe.context import Context
from openautoglm.serving.observe.observer import Observer

if TYPE_CHECKING:
    from openautoglm.feedback.recorder import Recorder

_SWEEP_SECONDS = 0.02  # how late a deadline may be noticed while the model is busy


class Identity(NamedTuple):
    """What an answer is attributed to."""

    name: str
    version: str
    digest: str
    family: str
    variant: str


class Answer(NamedTuple):
    """One label and one list of scores a row; scores in the order of the model's labels."""

    labels: list[str]
    scores: list[list[float]]


class Predictor:
    """The model as the protocols see it. All calls come from the event loop.

    Args:
        recorder: Keeps answers for feedback; None keeps none.

    Attributes:
        ready: What readiness tells: False once the replica is to end, though what still comes is
            answered.
    """

    def __init__(
        self,
        identity: Identity,
        labels: tuple[str, ...],
        input_: TextInput | NumericInput,
        settings: Serving,
        *,
        batcher: Batcher,
        observer: Observer,
        recorder: Recorder | None = None,
    ) -> None:
        self.identity = identity
        self.labels = labels
        self.input = input_
        self.limits = settings.limits
        self.observer = observer
        self.ready = False
        self._batcher = batcher
        self._recorder = recorder
        self.timeout = settings.timeout_ms / 1e3
        self._longest = input_.max_length if isinstance(input_, TextInput) else 1
        entries = settings.cache_entries
        self._cache = Cache(identity.digest, entries) if entries else None
        self._loop = asyncio.get_running_loop()
        self._sweeping = False

    def live(self) -> bool:
        """Whether the model's thread works."""
        return self._batcher.alive(perf_counter())

    def submit(
        self,
        rows: Rows,
        *,
        arrived: float,
        timeout: float | None,
        done: Callable[[Job], None],
    ) -> Job:
        """Have rows scored.

        Args:
            rows: As `openautoglm.serving.rows` gives them, at least one.
            arrived: `perf_counter` seconds when the request was there.
            timeout: Seconds it may wait; None takes the replica's own.
            done: Called on the event loop with the job, unless it was cancelled; before this
                function returns when the cache knows every row.

        Raises:
            Refusal: The replica has no room or time for it, or is about to end.
        """
        deadline = arrived + (self.timeout if timeout is None else timeout)
        longest = self._longest
        lengths = [min(len(row), longest) if type(row) is str else 1 for row in rows]
        known = None
        if self._cache is not None:
            known = [self._cache.get(row) for row in rows]
            done = partial(self._remember, [found is None for found in known], done)
            for found in known:
                self.observer.metrics.cache(found is not None)
        job = Job(rows, lengths, arrived=arrived, deadline=deadline, done=done, known=known)
        if not job.left:
            job.closed = True
            job.done(job)
            return job
        self._batcher.submit(job)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        return job

    def make_way(self) -> None:
        """Somebody on this event loop needs several of its rounds for each request."""
        self._batcher.make_way()

    def cancel(self, job: Job) -> None:
        """Forget a job that nobody waits for any more."""
        self._batcher.cancel(job)
        self.observer.metrics.cancelled()

    async def predict(self, rows: Rows, *, timeout: float | None, context: Context) -> Job:
        """The same, awaited. A cancelled task takes its rows out of the queue.

        Raises:
            Refusal: As `submit`.
        """
        future: asyncio.Future[Job] = self._loop.create_future()

        def tell(job: Job) -> None:
            if not future.done():  # the task may be cancelled and not know it yet
                future.set_result(job)

        job = self.submit(rows, arrived=context.started, timeout=timeout, done=tell)
        try:
            await future
        except asyncio.CancelledError:
            self.cancel(job)
            raise
        return job

    def answer(self, job: Job, context: Context) -> Answer:
        """Labels and scores of a job that is done; from here on its label may come.

        Raises:
            Refusal: What it was refused for.
        """
        if job.refusal is not None:
            raise job.refusal
        scores = [row for row in job.scores if row is not None]
        labels = [self.labels[row.index(max(row))] for row in scores]
        if self._recorder is not None:
            self._recorder.put(context.request_id, job.rows, labels, scores)
        return Answer(labels, scores)

    def _remember(self, asked: Sequence[bool], done: Callable[[Job], None], job: Job) -> None:
        assert self._cache is not None
        if job.refusal is None:
            for row, new, scores in zip(list[Row](job.rows), asked, job.scores, strict=True):
                if new and scores is not None:
                    self._cache.put(row, scores)
        done(job)

    def _sweep(self) -> None:
        self._batcher.expire(perf_counter())
        self._sweeping = self._batcher.queue_rows > 0
        if self._sweeping:
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)
