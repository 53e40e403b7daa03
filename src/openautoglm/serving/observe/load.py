"""How busy this replica is, for the gateway's balancing: the ORCA `endpoint-load-metrics` header.

Envoy's client-side weighted round robin gives an endpoint the weight

    rps / (utilisation + penalty * eps / rps)

which, while it keeps up, is the rate at which it would be full. What is told here follows:

- *utilisation* is the share of the last second in which the model worked, plus the share of the
  queue that is taken. A full replica that keeps up says 1. One that does not says up to 2, and so
  gets less: without the queue all full replicas would say 1, and whichever is sent more would
  weigh more.
- *rps* counts what was answered well, *eps* the rest. A refusal costs no model time: counted as
  a served request it would make the most overloaded replica look like the fastest.
- Envoy drops a report whose rps or utilisation is 0 and goes on with the weight it has. A replica
  that only fails therefore says a very small rps.

The text form is `TEXT key=value, key=value`; spaces after commas are allowed, unknown or repeated
keys are not. (Envoy before 1.33 wanted a colon after the key.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

_WINDOW = 1.0
_STEP = 0.1
_LEAST_UTILISATION = 1e-4
_LEAST_RPS = 1e-2


class LoadReport(NamedTuple):
    """Means over the last second.

    Attributes:
        utilisation: 0 to 1 while the replica keeps up, above when requests wait; at most 2.
        rps: Requests a second that were answered well.
        eps: Requests a second that were not.
    """

    utilisation: float
    rps: float
    eps: float


class _Counts(NamedTuple):
    at: float
    busy: float
    good: int
    bad: int


class Load:
    """Counts work and answers.

    `busy` is called by whoever has the model's turn, `answered` by the event loop: each counter has
    one writer at a time, so none needs a lock.

    Args:
        waiting: The share of the queue that is taken, 0 to 1.
        now: `perf_counter` seconds.
    """

    def __init__(self, waiting: Callable[[], float], now: float) -> None:
        self._waiting = waiting
        self._busy = 0.0
        self._good = 0
        self._bad = 0
        # One entry a step, the first at least a window old once the replica is.
        self._past = deque([_Counts(now, 0.0, 0, 0)])
        self._header = b""
        self._stale = now

    def busy(self, seconds: float) -> None:
        """The model worked this long."""
        self._busy += seconds

    def answered(self, ok: bool) -> None:
        """A prediction was answered, well or not."""
        if ok:
            self._good += 1
        else:
            self._bad += 1

    def report(self, now: float) -> LoadReport:
        """Load over the last second, or since the last report where that is longer ago.

        Args:
            now: `perf_counter` seconds.
        """
        past = self._past
        while len(past) > 1 and past[1].at <= now - _WINDOW:
            past.popleft()
        counts = _Counts(now, self._busy, self._good, self._bad)
        first = past[0]
        # In its first second a replica has no whole window: too low beats a wild guess.
        seconds = max(now - first.at, _WINDOW)
        if now - past[-1].at >= _STEP:
            past.append(counts)
        # A batch is told at its end, so a long one can seem to fill more than the window.
        utilisation = min((counts.busy - first.busy) / seconds, 1.0) + min(self._waiting(), 1.0)
        rps, eps = (counts.good - first.good) / seconds, (counts.bad - first.bad) / seconds
        return LoadReport(
            max(utilisation, _LEAST_UTILISATION), max(rps, _LEAST_RPS) if eps else rps, eps
        )

    def header(self, now: float) -> bytes:
        """The value of `endpoint-load-metrics`, at most a tenth of a second old."""
        if now >= self._stale:
            utilisation, rps, eps = self.report(now)
            self._header = b"TEXT application_utilization=%.4f, rps_fractional=%.3f, eps=%.3f" % (
                utilisation,
                rps,
                eps,
            )
            self._stale = now + _STEP
        return self._header
