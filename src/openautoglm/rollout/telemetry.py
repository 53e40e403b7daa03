"""What a rollout is told about the traffic, each second, and by whom."""

from __future__ import annotations

from typing import Protocol

from openautoglm.routing.counts import Look, Totals


class Telemetry(Protocol):
    """Counts each request once, for the variant it went to.

    `tests/conformance/telemetry.py` is what every implementation must pass; `docs/telemetry.md`
    says what counts as an error, and why.
    """

    @property
    def edges(self) -> tuple[float, ...]:
        """Latencies that answers are counted by, in seconds, ascending.

        A latency objective must be one of them.
        """

    def look(self, last: Totals | None) -> Look:
        """What was counted since the last look, of all variants there were.

        Never raises because of a gateway: one that does not answer is `missing`.

        Args:
            last: `totals` of that look, whoever took it; None begins.
        """
