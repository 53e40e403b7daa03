"""The feedback store, read beside the looks: one that hangs delays none of them.

A look takes what was found, and begins the next reading where that ended. What nobody takes is
read again, so everything counts once, whoever is killed.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from threading import Thread
from time import monotonic

from openautoglm.errors import StoreError
from openautoglm.feedback.reading import Cursor, News, begin, news
from openautoglm.feedback.store import FeedbackStore
from openautoglm.feedback.tables import exists

_log = logging.getLogger("openautoglm.rollout")
_AGAIN_SECONDS = 10.0
_NOTHING = Cursor(begin=0, answers=0, labels=0)
_SILENT_SECONDS = 5.0


@dataclass(frozen=True)
class Question:
    """What is to be read.

    Attributes:
        rollout: Its number.
        url: The store's.
        champion: Its source key.
        challenger: Its own.
        cursor: Where to go on; None begins, and leaves out whatever is there already.
    """

    rollout: int
    url: str
    champion: str
    challenger: str
    cursor: Cursor | None


class FeedbackReader:
    """Reads in the background, one question at a time; nobody waits for it."""

    def __init__(self) -> None:
        self._reading: _Reading | None = None

    @property
    def silent(self) -> bool:
        """Whether the store fails, or has not answered for seconds."""
        last = self._reading
        if last is None:
            return False
        hangs = last.is_alive() and monotonic() - last.begun > _SILENT_SECONDS
        return hangs or last.failed_lately

    def found(self, question: Question) -> News | None:
        """What a reading of exactly this has found; None while there is nothing to take."""
        reading = self._reading
        if reading is None or reading.is_alive() or reading.question != question:
            return None
        return reading.news

    def read(self, question: Question) -> None:
        """Begin to read, unless a reading goes on, or the store failed just now."""
        if self._reading is not None and self._reading.question.url != question.url:
            self.close()
        last = self._reading
        if last is not None and (last.is_alive() or last.failed_lately):
            return
        self._reading = _Reading(question, last.store if last is not None else None)
        self._reading.start()

    def close(self) -> None:
        """End the connections; of a reading that goes on, nothing is heard any more."""
        last, self._reading = self._reading, None
        if last is not None and last.store is not None:
            last.store.close()


class _Reading(Thread):
    """One answer; a daemon, since one that hangs must not keep the controller from ending."""

    def __init__(self, question: Question, store: FeedbackStore | None) -> None:
        super().__init__(name="feedback", daemon=True)
        self.question, self.store = question, store
        self.news: News | None = None
        self.begun = monotonic()
        self._failed_at = -math.inf

    @property
    def failed_lately(self) -> bool:
        """Whether to leave the store alone for a while."""
        return monotonic() - self._failed_at < _AGAIN_SECONDS

    def run(self) -> None:
        """Read once."""
        asked = self.question
        try:
            if not exists(asked.url):
                self._begin_anew(asked)
                return
            if self.store is None:
                self.store = FeedbackStore(asked.url)
            database = self.store.database
            cursor = asked.cursor or begin(database)
            self.news = news(database, cursor, champion=asked.champion, challenger=asked.challenger)
        except Exception as error:  # whatever it is, the looks go on without it
            known = isinstance(error, StoreError)
            _log.warning(
                "the feedback store does not answer",
                extra={"why": str(error)},
                exc_info=None if known else error,
            )
            self._failed_at = monotonic()

    def _begin_anew(self, asked: Question) -> None:
        """The file is not there yet, or no more: whatever it will hold comes after this."""
        if self.store is not None:
            self.store.close()
            self.store = None
        if asked.cursor != _NOTHING:
            self.news = News(_NOTHING)
