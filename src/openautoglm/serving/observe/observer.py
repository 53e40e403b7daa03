"""What becomes of each request, told to metrics, load, traces and log in one place."""

from __future__ import annotations

import logging
from typing import Literal

from openautoglm.serving.batching.job import Job
from openautoglm.serving.observe import logs
from openautoglm.serving.observe.context import Context
from openautoglm.serving.observe.load import Load
from openautoglm.serving.observe.metrics import Metrics
from openautoglm.serving.observe.tracing import Tracing
from openautoglm.serving.refusals import DEADLINE, DRAINING, QUEUE_FULL, Refusal

_log = logging.getLogger(__name__)
SHED = frozenset({QUEUE_FULL.name, DEADLINE.name, DRAINING.name})
"""Refusals that say how loaded this replica is, though the model was not asked."""


class Observer:
    """Called by the protocols after each answer, and by the batcher after each batch."""

    def __init__(
        self,
        metrics: Metrics,
        load: Load,
        tracing: Tracing,
        access_log: Literal["all", "traced", "none"],
    ) -> None:
        self.metrics = metrics
        self.load = load
        self._tracing = tracing
        self._all = access_log == "all"
        self._traced = access_log == "traced"

    def answered(
        self, context: Context, code: str, now: float, job: Job | None, kind: str | None
    ) -> None:
        """A request was answered.

        Args:
            context: Its ids and its start.
            code: The protocol's status code.
            now: `perf_counter` seconds.
            job: What the model did for it; None when it was not asked.
            kind: Of the refusal, when it was one.
        """
        seconds = now - context.started
        self.metrics.answered(context.protocol, code, seconds)
        if job is not None:
            self.load.answered(kind is None)
            if job.taken or kind is not None:  # else the cache knew every row
                self.metrics.queued((job.taken or now) - job.arrived)
        elif kind in SHED:
            self.load.answered(False)
        if kind is not None:
            self.metrics.refused(kind)
        # Health is asked for every second, and would fill the log however few are sampled.
        sampled = context.sampled and (self._all or not context.probe)
        if sampled:
            self._tracing.finish(context, code=code, now=now, job=job)
        if self._all or (self._traced and sampled):
            logs.access(context, code, seconds, kind=kind, rows=len(job.rows) if job else 0)

    def batch(self, rows: int, tokenise_seconds: float, infer_seconds: float) -> None:
        """A batch was scored; called by whoever has the model's turn."""
        self.metrics.batch(rows, tokenise_seconds, infer_seconds)
        self.load.busy(tokenise_seconds + infer_seconds)

    def failed(self, context: Context, refusal: Refusal) -> None:
        """Something broke that should not have: the log gets what the client does not."""
        _log.error(
            refusal.what,
            exc_info=refusal.__cause__,
            extra={"request_id": context.request_id, "trace_id": context.trace_id},
        )
