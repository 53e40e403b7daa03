"""What Prometheus sees of a replica.

Counters of `prometheus_client` take a lock and several calls for each event; these are plain
numbers, read when somebody asks. No lock is needed: the series of batches are written by whoever
has the model's turn, all others by the event loop, so no update can be lost. A reader in
between sees an event in one series and not yet in the next, never half a number; the count of a
histogram is made of its buckets, so that those two always agree.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from openautoglm.serving.refusals import KINDS

if TYPE_CHECKING:
    from openautoglm.serving.predictor import Identity

LATENCY_EDGES = (
    *(0.0005, 0.001, 0.002, 0.0025, 0.004, 0.005, 0.0075),
    *(0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0),
)
"""Seconds up to which requests are counted. A latency objective must be one of them."""

ROW_EDGES = tuple(float(2**power) for power in range(13))
"""Rows up to which batches are counted: 1 to 4096, the most a batch may have."""

_PREFIX = "openautoglm_replica"
_OPENMETRICS = "application/openmetrics-text"


class Gauges(NamedTuple):
    """Where the present state is read when somebody asks for it."""

    queue_rows: Callable[[], float]
    connections: Callable[[], float]
    buffered_bytes: Callable[[], float]
    ready: Callable[[], float]
    utilisation: Callable[[], float]


_GAUGE_HELP = (
    "Rows that wait for the model.",
    "Open connections.",
    "Bodies and unread answers of all connections together.",
    "1 while requests are taken.",
    "Share of the last second in which the model worked, plus share of the queue taken.",
)


class Histogram:
    """Counts of values between edges; one thread may write.

    Args:
        edges: Ascending; a value counts for the first edge that it does not exceed.
    """

    __slots__ = ("_counts", "_edges", "_sum")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def family(self, name: str, text: str) -> Metric:
        """As Prometheus has it: each bucket holds those below it too."""
        edges = (*(str(edge) for edge in self._edges), "+Inf")
        below = list(zip(edges, accumulate(self._counts), strict=True))
        return HistogramMetricFamily(name, text, buckets=below, sum_value=self._sum)


class Metrics(Collector):
    """The series of one replica, in a registry of their own.

    `batch` is for whoever has the model's turn, everything else for the event loop.

    Args:
        identity: The model that is served.
        gauges: Where the present state is read.
        dropped: Rows whose answers the feedback store did not get.
    """

    def __init__(
        self, identity: Identity, gauges: Gauges, dropped: Callable[[], int] = lambda: 0
    ) -> None:
        self._identity = identity
        self._gauges = gauges
        self._dropped = dropped
        self._requests: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._refusals = {kind.name: 0 for kind in KINDS}
        self._cancelled = self._hits = self._misses = 0
        self._request = Histogram(LATENCY_EDGES)
        self._queue = Histogram(LATENCY_EDGES)
        self._tokenise = Histogram(LATENCY_EDGES)
        self._infer = Histogram(LATENCY_EDGES)
        self._rows = Histogram(ROW_EDGES)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def answered(self, protocol: str, code: str, seconds: float) -> None:
        """A request was answered with this status, so long after it began."""
        self._requests[protocol, code] += 1
        self._request.observe(seconds)

    def refused(self, kind: str) -> None:
        """The answer was a refusal of this kind, one of `serving.refusals.KINDS`."""
        self._refusals[kind] += 1

    def queued(self, seconds: float) -> None:
        """A request's first row left the queue after this time."""
        self._queue.observe(seconds)

    def cancelled(self) -> None:
        """A caller left before its answer."""
        self._cancelled += 1

    def cache(self, hit: bool) -> None:
        """A row was looked up."""
        if hit:
            self._hits += 1
        else:
            self._misses += 1

    def batch(self, rows: int, tokenise_seconds: float, infer_seconds: float) -> None:
        """The model scored a batch."""
        self._rows.observe(rows)
        self._tokenise.observe(tokenise_seconds)
        self._infer.observe(infer_seconds)

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """All series, and their content type.

        Args:
            accept: The request's header; OpenMetrics for those who ask for it, else Prometheus'
                text format.
        """
        wanted = f"{_OPENMETRICS};version=1.0.0" if _OPENMETRICS in (accept or "") else ""
        encode, content_type = choose_encoder(wanted)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """The series, for the registry."""
        yield InfoMetricFamily(_PREFIX, "The model that is served.", self._identity._asdict())
        yield from self._counters()
        for name, histogram, text in (
            ("request", self._request, "From a request's arrival to its answer, all protocols."),
            ("queue", self._queue, "From a request's arrival until its first row left the queue."),
            ("tokenise", self._tokenise, "Turning a batch into one input of the model."),
            ("infer", self._infer, "One call of the model."),
        ):
            yield histogram.family(f"{_PREFIX}_{name}_seconds", text)
        yield self._rows.family(f"{_PREFIX}_batch_rows", "Rows in one call of the model.")
        for name, read, text in zip(Gauges._fields, self._gauges, _GAUGE_HELP, strict=True):
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=float(read()))

    def _counters(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            f"{_PREFIX}_requests", "Requests answered.", labels=["protocol", "code"]
        )
        for (protocol, code), count in sorted(self._requests.items()):
            requests.add_metric([protocol, code], count)
        yield requests
        refusals = CounterMetricFamily(
            f"{_PREFIX}_refusals", "Requests answered with an error, by its kind.", labels=["kind"]
        )
        for kind, count in self._refusals.items():
            refusals.add_metric([kind], count)
        yield refusals
        for name, count, text in (
            ("cancelled", self._cancelled, "Requests whose caller left before the answer."),
            ("cache_hits", self._hits, "Rows whose scores were known."),
            ("cache_misses", self._misses, "Rows whose scores were not known."),
            ("feedback_dropped", self._dropped(), "Rows whose answers take no label: not kept."),
        ):
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, value=count)
