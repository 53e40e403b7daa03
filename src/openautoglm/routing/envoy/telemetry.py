"""What the gateways of a service have counted, read over their admin sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from openautoglm.errors import RouterError
from openautoglm.routing.counts import Counts, Look, Seen, Totals, advance
from openautoglm.routing.envoy import admin as gateway
from openautoglm.routing.envoy.admin import Counted
from openautoglm.routing.envoy.clusters import grpc_cluster
from openautoglm.routing.envoy.counted import SCOPE
from openautoglm.routing.envoy.outcomes import End, counts
from openautoglm.serving.observe.metrics import LATENCY_EDGES

_ROUNDING = 1e-9
# For HTTP or gRPC; a variant's cluster for labels carries no predictions.
_CLUSTER = rf"\.cluster\.(?P<variant>[a-z0-9-]+)(?P<protocol>{grpc_cluster('')})?"
_ENDED = re.compile(
    rf"{SCOPE}\.requests{_CLUSTER}\.code\.(?P<code>\d+)\.grpc\.(?P<grpc>\d*)"
    r"\.flags\.(?P<flags>[^.]*)\.attempts\.(?P<attempts>\d+)"
)
_TIMES = re.compile(rf"{SCOPE}\.us{_CLUSTER}")
_LEFT = re.compile(rf"{SCOPE}\.left_ms{_CLUSTER}")
# To Envoy, copies are requests of its own. Of those over gRPC it keeps no status, so they are not
# counted at all: none of them could be an error.
_COPIED_TO = r"cluster\.(?P<variant>[a-z0-9-]+)\.internal\.upstream_rq_"
_COPIED = re.compile(rf"{_COPIED_TO}(?P<code>\d+)")
_COPY_TIMES = re.compile(rf"{_COPIED_TO}time")
_ASKED = rf"^{SCOPE}\.|^cluster\.[a-z0-9-]+\.internal\.upstream_rq_([0-9]+|time)$"


class EnvoyTelemetry:
    """A Telemetry whose gateways are Envoys on this machine.

    Args:
        admins: Admin sockets of the gateways there should be now; a stem names a gateway.
        seconds: How long one of them may take to answer.
    """

    edges: tuple[float, ...] = LATENCY_EDGES

    def __init__(self, admins: Callable[[], Sequence[Path]], *, seconds: float = 0.5) -> None:
        self._admins = admins
        self._seconds = seconds

    def look(self, last: Totals | None) -> Look:
        """What was counted since the last look, see `Telemetry.look`."""
        return advance(last, {admin.stem: self._seen(admin) for admin in self._admins()})

    def _seen(self, admin: Path) -> Seen | None:
        try:
            found = gateway.counted(admin, _ASKED, seconds=self._seconds)
        except RouterError:
            return None
        variants: dict[str, Counts] = {}
        copies: dict[str, Counts] = {}
        copied: dict[str, Counts] = {}
        for told, more in _told(found):
            groups = told.groupdict()
            if "protocol" not in groups:
                _add(copies, told["variant"], more)
                continue
            _add(variants, told["variant"], more)
            if not groups["protocol"]:
                _add(copied, told["variant"], more)
        return Seen(found.process, variants, copies, copied)


def _told(found: Counted) -> Iterator[tuple[re.Match[str], Counts]]:
    """Whose statistic it is, and what it says."""
    for name, number in found.counters.items():
        if told := _ENDED.fullmatch(name):
            yield told, counts(_end(told), number)
        elif told := _COPIED.fullmatch(name):
            yield told, counts(End(int(told["code"]), None, frozenset(), 1), number)
    for name, bins in found.histograms.items():
        if told := _TIMES.fullmatch(name):
            yield told, _timed(bins, unit=1e-6)
        elif told := _LEFT.fullmatch(name):
            yield told, _left(bins, unit=1e-3)
        elif told := _COPY_TIMES.fullmatch(name):
            yield told, _timed(bins, unit=1e-3)


def _end(found: re.Match[str]) -> End:
    grpc = int(found["grpc"]) if found["grpc"] else None
    flags = frozenset(found["flags"].split(",")) - {"-"}
    return End(int(found["code"]), grpc, flags, int(found["attempts"]))


def _timed(bins: Mapping[float, int], *, unit: float) -> Counts:
    """Of answers."""
    slow = _longer(bins, unit)
    return Counts(timed=(sum(bins.values()),) * len(slow), slow=slow)


def _left(bins: Mapping[float, int], *, unit: float) -> Counts:
    """Of clients that left: those that waited longer than an edge had no answer within it.

    What the others would have had is not known, so they are left out.
    """
    slow = _longer(bins, unit)
    return Counts(timed=slow, slow=slow)


def _longer(bins: Mapping[float, int], unit: float) -> tuple[int, ...]:
    """How many values lie above each edge; no bin lies on both sides of one."""
    return tuple(
        sum(number for bound, number in bins.items() if bound > edge / unit * (1 - _ROUNDING))
        for edge in LATENCY_EDGES
    )


def _add(into: dict[str, Counts], variant: str, more: Counts) -> None:
    into[variant] = into.get(variant, Counts()) + more
