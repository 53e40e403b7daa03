"""One batch through the model: scores to their jobs, and a row that fails alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.batching.job import Item, Job, Rows
from openautoglm.serving.refusals import DEADLINE, FAILED, Refusal

Tell = Callable[[list[Job]], object]


class Scorer(Protocol):
    """A model; never called twice at once."""

    def encode(self, rows: Rows) -> NDArray[np.int64] | NDArray[np.float32]:
        """Rows as the input of `score`."""

    def score(self, values: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities `float32[rows, labels]`."""


class Watcher(Protocol):
    """Is told what happens."""

    def batch(self, rows: int, tokenise_seconds: float, infer_seconds: float) -> None:
        """A batch was scored."""


class Runner:
    """Runs batches.

    Args:
        scorer: The model.
        watcher: Is told of every batch.
        costs: What a call was found to take when nothing else ran.
        close: Takes what still waits of a job out of the queue; whether the job was open.

    Attributes:
        pace: How many times as long as `costs` says calls took lately.
    """

    def __init__(
        self, scorer: Scorer, watcher: Watcher, costs: Costs, close: Callable[[Job], bool]
    ) -> None:
        self.pace = 1.0
        self._scorer = scorer
        self._watcher = watcher
        self._costs = costs
        self._close = close

    def run(self, items: list[Item], tell: Tell) -> None:
        """Score a batch; one that fails is halved until the row that fails stands alone.

        Args:
            items: The rows.
            tell: Called with the jobs that ended, as soon as they did.
        """
        begun = perf_counter()
        items = [item for item in items if self._wanted(item[0], begun, tell)]
        if not items:
            return
        try:
            values = self._scorer.encode(cast(Rows, [job.rows[place] for job, place in items]))
            tokenised = perf_counter()
            found = self._scorer.score(values)
            if not math.isfinite(found.sum()):  # one of them is none, then
                raise ArithmeticError("scores that are no numbers")
            scores = found.tolist()
            if len(scores) != len(items):
                raise ArithmeticError(f"{len(scores)} rows of scores for {len(items)}")
        except Exception as error:  # whatever a model raises must cost no other request
            self._halve(items, error, tell)
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
            tell(finished)
        # Nobody waits for what is left to do.
        longest = max(job.lengths[place] for job, place in items)
        pace = (inferred - begun) / self._costs.seconds(len(items), longest)
        self.pace += 0.1 * (pace - self.pace)
        self._watcher.batch(len(items), tokenised - begun, inferred - tokenised)

    def _wanted(self, job: Job, now: float, tell: Tell) -> bool:
        """Whether a row of this job is still to be scored."""
        job.taken = job.taken or now
        if job.deadline <= now:
            self._refuse(job, late(job), tell)
        return not job.closed

    def _halve(self, items: list[Item], error: Exception, tell: Tell) -> None:
        if len(items) > 1:
            self.run(items[: len(items) // 2], tell)
            self.run(items[len(items) // 2 :], tell)
            return
        job, place = items[0]
        where = f"row {place}" if len(job.rows) > 1 else None
        problem = Refusal(FAILED, f"the model failed: {type(error).__name__}", where=where)
        problem.__cause__ = error
        self._refuse(job, problem, tell)

    def _refuse(self, job: Job, refusal: Refusal, tell: Tell) -> None:
        if self._close(job):
            job.refusal = refusal
            tell([job])


def late(job: Job) -> Refusal:
    """Why a job whose deadline passed in the queue has no answer."""
    waited = (job.deadline - job.arrived) * 1e3
    return Refusal(DEADLINE, f"not begun within its deadline of {waited:.0f} ms")


def inform(jobs: Sequence[Job]) -> None:
    """Call what waits for these jobs; on the event loop."""
    for job in jobs:
        # What is told knows the job: left as it is, the two would keep its rows alive.
        done, job.done = job.done, forget
        if not job.cancelled:
            done(job)


def forget(job: Job) -> None:
    """In the place of a callback that was called, or will not be."""
