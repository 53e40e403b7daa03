"""Answers on their way to the store: nobody who predicts ever waits for it."""

from __future__ import annotations

import logging
import random
import threading
import zlib
from collections import deque
from collections.abc import Sequence
from time import time

import orjson
from sqlalchemy.exc import DataError, IntegrityError

from openautoglm.config.feedback import Feedback
from openautoglm.errors import StoreError
from openautoglm.feedback.answers import Answer, Inputs, Source
from openautoglm.feedback.store import FeedbackStore

_log = logging.getLogger("openautoglm.feedback")
_GATHER_SECONDS = 0.1
_AGAIN_SECONDS = 0.5
_TIDY_SECONDS = 60.0
_MOST = 20_000  # rows that wait; a sampled text counts one more for every _CHARACTERS
_CHARACTERS = 100
_BATCH = 2000
_ENDING_SECONDS = 3.0
_DAY = 86_400


class Recorder:
    """Writes the answers of one replica in batches, from a thread of its own.

    While the store does not answer, answers wait, up to a bound; beyond it they are dropped and
    counted.

    Args:
        store: Where to; the recorder closes it.
        source: What gives the answers.
        settings: What is kept.
        numbers: Whether the model is asked numbers, not texts.

    Attributes:
        dropped: Rows whose answers were not kept.
        failing: Whether the store did not take the last answers.
    """

    def __init__(
        self, store: FeedbackStore, source: Source, settings: Feedback, *, numbers: bool = False
    ) -> None:
        self.dropped = 0
        self._store = store
        self._source = source
        self._settings = settings
        asked = settings.requests
        self._sample = round(asked.sample * 2**32) if numbers or asked.texts else 0
        self._queue: deque[tuple[int, Answer]] = deque()
        # Only the event loop writes the first, only the thread the second: no lock is needed.
        self._put = self._done = 0
        self._wake, self._stop = threading.Event(), threading.Event()
        self.failing = False
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)

    @property
    def waiting(self) -> int:
        """Rows that are not in the store yet, as `_MOST` counts them."""
        return self._put - self._done

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(
        self,
        request_id: str,
        rows: Inputs,
        labels: Sequence[str],
        scores: Sequence[Sequence[float]],
    ) -> None:
        """Keep an answer; called by the event loop, and takes two microseconds for a text.

        Args:
            request_id: What the request is called in its answer.
            rows: What was asked.
            labels: One a row.
            scores: Those of each row, by class.
        """
        weight, inputs = len(rows), None
        if zlib.crc32(request_id.encode()) < self._sample:
            inputs = rows
            weight += sum(len(row) for row in rows) // _CHARACTERS
        if self._put - self._done + weight > _MOST:
            self.dropped += len(rows)
            return
        confidence, crc = [max(row) for row in scores], zlib.crc32(orjson.dumps(rows))
        self._queue.append((weight, Answer(request_id, time(), labels, confidence, inputs, crc)))
        self._put += weight
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Write what waits, for seconds at most, and end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(_ENDING_SECONDS)
        self._store.close()

    def _run(self) -> None:
        tidy = time() + random.uniform(0, _TIDY_SECONDS)  # noqa: S311  (so that replicas take turns)
        if not self._sample:  # what was kept under other settings goes at once
            tidy = time()
            self._wake.set()
        while not self._stop.is_set():
            self._wake.wait(_TIDY_SECONDS)
            self._wake.clear()
            self._stop.wait(_AGAIN_SECONDS if self.failing else _GATHER_SECONDS)
            self._write()
            if time() >= tidy or tidy > time() + _TIDY_SECONDS:  # the clock may be set back
                tidy = time() if self._tidy() else time() + _TIDY_SECONDS
        self._write()

    def _write(self) -> None:
        """Write what waits, in batches; a store that fails keeps the rest waiting."""
        while self._queue:
            batch = [self._queue[place] for place in range(min(_BATCH, len(self._queue)))]
            try:
                self._store.record(self._source, [answer for _, answer in batch])
                self._told(None)
            except StoreError as error:
                self._told(error)
                if not isinstance(error.__cause__, DataError | IntegrityError):
                    self._wake.set()
                    return
                self.dropped += sum(len(answer.labels) for _, answer in batch)
            for _ in batch:
                self._queue.popleft()
            self._done += sum(weight for weight, _ in batch)

    def _tidy(self) -> bool:
        """Remove some of what is too old; whether to go on soon."""
        settings = self._settings
        since = time() - settings.retention_days * _DAY
        asked = settings.requests.rows if self._sample else 0
        try:
            more = self._store.retain(self._source.name, since, given=settings.answers, asked=asked)
        except StoreError as error:
            self._told(error)
            return False
        if more:
            self._wake.set()
        return more

    def _told(self, error: StoreError | None) -> None:
        """Log the first failure, and that it is over."""
        if error is not None and not self.failing:
            _log.warning(error.what, extra={"store": error.where})
        elif error is None and self.failing:
            _log.info("the feedback store answers again")
        self.failing = error is not None
