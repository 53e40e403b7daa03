"""The OpenTelemetry SDK's one home: a tracer that takes finished requests, and their delivery."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context as Around
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from openautoglm import __version__
from openautoglm.serving.observe.context import Context

if TYPE_CHECKING:
    from openautoglm.serving.predictor import Identity

_log = logging.getLogger(__name__)
# What the SDK says once a batch, or once a span.
_LOUD = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)


class Spans:
    """Makes spans on the event loop; the SDK's thread sends them, from a bounded queue.

    Args:
        identity: The model that is served.
        endpoint: Where they go, for messages; the exporter reads the environment itself.
    """

    def __init__(self, identity: Identity, endpoint: str) -> None:
        self._made = 0
        self._ids = _Ids()
        self._delivery = _Delivery(endpoint)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=_resource(identity),
            id_generator=self._ids,
            shutdown_on_exit=False,  # it would wait half a minute; `Tracing.stop` does not
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._delivery))
        self._tracer = self._provider.get_tracer("openautoglm.serving", __version__)

    def add(
        self,
        name: str,
        context: Context,
        *,
        end_ns: int,
        parts: Sequence[tuple[str, int, int]],
        attributes: Mapping[str, Any],
        failed: bool,
    ) -> None:
        """One request and its parts (name, start, end), times in nanoseconds since 1970."""
        self._ids.trace_id = int(context.trace_id, 16)
        start = self._tracer.start_span
        span = start(
            name,
            context=_under(context),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=context.start_ns,
        )
        inside = set_span_in_context(span, Around())
        for part, begun, ended in parts:
            start(part, context=inside, start_time=begun).end(ended)
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(end_ns)
        self._made += 1 + len(parts)

    def shutdown(self) -> None:
        """Send what is left; may take half a minute."""
        self._provider.shutdown()

    def account(self) -> None:
        """Say how many spans were not delivered, if any."""
        lost = self._made - self._delivery.delivered
        if lost:
            _log.warning("%d of %d spans were not delivered", lost, self._made)


class _Ids(RandomIdGenerator):
    """Gives a root span the id its request has already."""

    trace_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id


class _Delivery(SpanExporter):
    """The OTLP exporter; the first failure of a streak is logged, the others are not."""

    def __init__(self, endpoint: str) -> None:
        self.delivered = 0
        self._endpoint = endpoint
        self._failing = False
        self._reason = _Reason()
        for name in _LOUD:
            logging.getLogger(name).addFilter(self._reason)
        self._exporter = OTLPSpanExporter()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if not failed:
            self.delivered += len(spans)
        if failed and not self._failing:
            _log.warning(
                "spans cannot be sent to %s, requests are answered all the same: %s",
                self._endpoint,
                self._reason.said,
            )
        elif self._failing and not failed:
            _log.warning("spans are sent to %s again", self._endpoint)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        for name in _LOUD:
            logging.getLogger(name).removeFilter(self._reason)


class _Reason(logging.Filter):
    """Keeps what the SDK wanted to say."""

    said = "no reason given"

    def filter(self, record: logging.LogRecord) -> bool:
        self.said = record.getMessage()
        return False


def _under(context: Context) -> Around:
    if context.parent_id is None:
        return Around()
    caller = SpanContext(
        int(context.trace_id, 16),
        int(context.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(caller), Around())


def _resource(identity: Identity) -> Resource:
    """Who speaks; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go over what we say."""
    said = Resource.create(
        {
            "service.name": identity.name,
            "service.version": identity.version,
            "process.pid": os.getpid(),
            "openautoglm.model.digest": identity.digest,
            "openautoglm.model.family": identity.family,
            "openautoglm.model.variant": identity.variant,
        }
    )
    return said.merge(OTELResourceDetector().detect())
