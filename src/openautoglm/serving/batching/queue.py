"""Rows that wait for the model: bounded, in order of arrival, bucketed by length.

No threads and no clock in here: the caller holds a lock and says what time it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice, takewhile

from openautoglm.config.serving import Batching
from openautoglm.serving.batching.grouping import bucket, group
from openautoglm.serving.batching.job import Item, Job

_OVERTAKING = 2  # batches of rows that may overtake one


class Queue:
    """Waiting rows.

    Rules, each with a property test:

    - At most `max_queue_rows` rows wait.
    - A batch has at most `max_batch_size` rows; a job's rows count one by one.
    - The row that has waited longest is in the next batch.
    - With it go rows of its length, then of neighbouring lengths where padding them costs less
      than a further call, in order of arrival within a length.
    - No row is overtaken by more than twice `max_batch_size` rows that came after it.
    - Without `max_queue_delay_microseconds` a batch is there as soon as a row waits. With it,
      once the rows reach a preferred size (or the maximum), or one has waited that long, or half
      of the time it has.
    - A batch of at least a preferred size is cut to the largest preferred size it reaches.
    - A cancelled or expired job leaves nothing behind.

    Args:
        batching: Sizes, delay and bound.
        spare: Padding tokens that cost as much as one call of the model.
    """

    def __init__(self, batching: Batching, *, spare: float = 0.0) -> None:
        self.spare = spare
        self.rows = 0
        """Rows that wait."""
        self.tokens = 0
        """Tokens of those rows, each padded to the edge of its bucket."""
        self._most = batching.max_batch_size
        self._bound = batching.max_queue_rows
        self._preferred = sorted(batching.preferred_batch_size, reverse=True)
        self._delay = batching.max_queue_delay_microseconds / 1e6
        self._buckets: dict[int, deque[tuple[int, Job, int]]] = {}
        self._jobs: dict[Job, None] = {}
        self._arrivals = 0

    def room(self, rows: int) -> bool:
        """Whether this many more may wait; an empty queue takes any one request."""
        return self.rows + rows <= self._bound or not self.rows

    def add(self, job: Job) -> None:
        """Let every row of a job wait."""
        for place, length in enumerate(job.lengths):
            if job.scores[place] is None:
                self._arrivals += 1
                edge = bucket(length)
                self._buckets.setdefault(edge, deque()).append((self._arrivals, job, place))
                self.tokens += edge
        job.waiting = job.left
        self.rows += job.waiting
        self._jobs[job] = None

    def remove(self, job: Job) -> None:
        """Take what still waits of a job out."""
        if job not in self._jobs:
            return
        del self._jobs[job]
        for edge, waiting in list(self._buckets.items()):
            kept = deque(entry for entry in waiting if entry[1] is not job)
            self.tokens -= edge * (len(waiting) - len(kept))
            if kept:
                self._buckets[edge] = kept
            else:
                del self._buckets[edge]
        self.rows -= job.waiting
        job.waiting = 0

    def expire(self, now: float) -> list[Job]:
        """Take out and return the jobs with waiting rows whose deadline has passed."""
        expired = [job for job in self._jobs if job.deadline <= now]
        for job in expired:
            self.remove(job)
        return expired

    def wait(self, now: float) -> float | None:
        """Seconds until a batch may start if nothing else comes; None while nothing waits."""
        if not self.rows:
            return None
        if not self._delay or self.rows >= self._most:
            return 0.0
        if self._preferred and self.rows >= self._preferred[-1]:
            return 0.0
        ends = (
            job.arrived + min(self._delay, (job.deadline - job.arrived) / 2) for job in self._jobs
        )
        return max(0.0, min(ends) - now)

    def take(self) -> list[Item]:
        """The next batch, whose rows wait no longer; empty when nothing waits."""
        if not self.rows:
            return []
        buckets = self._buckets
        lead = min(buckets, key=lambda edge: buckets[edge][0][0])
        end = buckets[lead][0][0] + _OVERTAKING * self._most
        counts = {edge: count for edge in buckets if (count := self._within(edge, end))}
        chosen = [lead] if len(counts) == 1 else group(counts, lead, self._most, self.spare)
        size = self._size(sum(counts[edge] for edge in chosen))
        return list(self._pull(chosen, size, end))

    def _within(self, edge: int, end: int) -> int:
        """Rows of a bucket that came before the row numbered `end`; a batch needs no more."""
        waiting = self._buckets[edge]
        if self._arrivals < end:
            return len(waiting)
        return sum(1 for _ in takewhile(lambda entry: entry[0] < end, islice(waiting, self._most)))

    def _size(self, rows: int) -> int:
        rows = min(rows, self._most)
        return next((size for size in self._preferred if size <= rows), rows)

    def _pull(self, chosen: list[int], size: int, end: int) -> Iterator[Item]:
        # The lead's bucket comes first, and its first row is the oldest of all.
        for edge in chosen:
            waiting = self._buckets[edge]
            while waiting and size and waiting[0][0] < end:
                _, job, place = waiting.popleft()
                size -= 1
                self.rows -= 1
                self.tokens -= edge
                job.waiting -= 1
                if not job.waiting:
                    del self._jobs[job]
                yield job, place
            if not waiting:
                del self._buckets[edge]
