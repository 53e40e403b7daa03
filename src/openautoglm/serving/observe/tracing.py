"""OpenTelemetry spans of the sampled requests, made after the answer and sent by a thread.

The SDK is imported only when there is somewhere to send spans to. Sampling is decided in
`observe.context`; whatever comes here is kept.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from openautoglm.serving.batching.job import Job
from openautoglm.serving.observe.context import Context

if TYPE_CHECKING:
    from openautoglm.serving.observe.otlp import Spans
    from openautoglm.serving.predictor import Identity

_log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_GRPC_FAULTS = frozenset(
    {
        *("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL"),
        *("UNAVAILABLE", "DATA_LOSS"),
    }
)
"""Codes that are a server's error (semantic conventions for gRPC), as 5xx is in HTTP."""


class Tracing:
    """Spans of one replica, or nothing.

    Attributes:
        on: Whether spans are made.
    """

    def __init__(self, spans: Spans | None) -> None:
        self._spans = spans
        self.on = spans is not None

    @classmethod
    def start(cls, identity: Identity) -> Tracing:
        """Send spans to `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`.

        Spans are off without either, or with `OTEL_SDK_DISABLED=true`. The SDK's other variables
        (headers, certificates, timeouts, queue sizes, resource attributes) hold as usual.
        """
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return cls(None)
        endpoint = _first(_ENDPOINTS)
        if endpoint is None:
            return cls(None)
        protocol = _first(_PROTOCOLS) or "http/protobuf"
        if protocol != "http/protobuf":
            _log.warning(
                "spans go out as http/protobuf, not as %s says: %s; port 4318 is the usual one",
                " or ".join(_PROTOCOLS),
                protocol,
            )
        from openautoglm.serving.observe.otlp import Spans

        return cls(Spans(identity, endpoint))

    def finish(self, context: Context, *, code: str, now: float, job: Job | None) -> None:
        """Make the spans of a sampled request that was answered.

        One span of the server, under the caller's where it sent a `traceparent`; in it `queue`,
        `tokenise` and `infer`, as far as the request came.

        Args:
            context: Sampled.
            code: The protocol's status code.
            now: When it was answered, `perf_counter` seconds.
            job: What the model did for it; None when it was not asked.
        """
        if self._spans is None:
            return
        origin = context.start_ns - round(context.started * 1e9)
        parts = [
            (name, origin + round(start * 1e9), origin + round(end * 1e9))
            for name, start, end in (_parts(job, now) if job is not None else ())
        ]
        self._spans.add(
            "predict" if job is not None else "request",
            context,
            end_ns=origin + round(now * 1e9),
            parts=parts,
            attributes=_attributes(context, code, job),
            failed=code in _GRPC_FAULTS or code.startswith("5"),
        )

    def stop(self, seconds: float = 5.0) -> None:
        """Send what is left, for at most this long; blocks."""
        if self._spans is None:
            return
        # The SDK waits half a minute for an endpoint that does not answer, and cannot be told less.
        last = threading.Thread(target=self._spans.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(seconds)
        self._spans.account()


def _parts(job: Job, now: float) -> Iterator[tuple[str, float, float]]:
    if job.begun:
        yield "queue", job.arrived, job.begun
        yield "tokenise", job.begun, job.tokenised
        yield "infer", job.tokenised, job.inferred
    elif job.refusal is not None:
        yield "queue", job.arrived, job.taken or now


def _attributes(context: Context, code: str, job: Job | None) -> dict[str, Any]:
    told: dict[str, Any] = {"openautoglm.request_id": context.request_id}
    if context.protocol == "http":
        told["http.response.status_code"] = int(code)
    else:
        told |= {"rpc.system.name": "grpc", "rpc.response.status_code": code}
    if job is not None:
        told["openautoglm.rows"] = len(job.rows)
        if job.refusal is not None:
            told["error.type"] = job.refusal.kind.name
    return told


def _first(names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)
