"""Answers kept for feedback: what writes them, and what takes their labels."""

from __future__ import annotations

from typing import NamedTuple

from openautoglm.config.feedback import Feedback
from openautoglm.feedback.answers import Source
from openautoglm.feedback.recorder import Recorder
from openautoglm.feedback.store import FeedbackStore
from openautoglm.inference.package import NumericInput
from openautoglm.serving.http.feedback import TakeFeedback
from openautoglm.serving.loaded import Loaded


class Kept(NamedTuple):
    """The feedback's part of one replica."""

    recorder: Recorder
    take: TakeFeedback

    def close(self) -> None:
        """Write what waits, and end the connections."""
        self.recorder.stop()
        self.take.close()


def keep(loaded: Loaded, url: str, settings: Feedback, *, rows: int) -> Kept:
    """Begin to keep answers; a store that does not answer yet keeps nobody from predicting.

    Args:
        loaded: The model.
        url: The store.
        settings: What is kept.
        rows: Most rows of one request.

    Raises:
        StoreError: The driver of the store's database is not installed.
    """
    identity = loaded.identity
    source = Source(
        identity.name,
        identity.version,
        identity.digest,
        identity.family,
        identity.variant,
        loaded.labels,
    )
    # A label that is acknowledged must outlive the machine; the answers may lose a moment.
    numbers = isinstance(loaded.input, NumericInput)
    recorder = Recorder(FeedbackStore(url, durable=False), source, settings, numbers=numbers)
    take = TakeFeedback(
        FeedbackStore(url), identity.name, rows=rows, behind=lambda: recorder.failing
    )
    recorder.start()
    return Kept(recorder, take)
