"""Which lengths share a call: those that cost less to pad than a further call costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

# About three lengths an octave: a row is padded by less than a third within its bucket.
EDGES = tuple(sorted({round(4 * 2 ** (step / 3)) for step in range(0, 3 * 11)} | {1, 2, 3}))


def bucket(length: int) -> int:
    """The smallest bucket edge that is at least `length`; beyond the last edge, the last."""
    return EDGES[min(bisect_left(EDGES, length), len(EDGES) - 1)]


class Costs:
    """Time of a call as `call + token * rows * length`, the padded length.

    Args:
        call: Seconds of a call, whatever it holds.
        token: Seconds a padded token adds.
    """

    def __init__(self, call: float, token: float) -> None:
        self.call = max(call, 1e-6)
        self.token = token
        self.spare = call / token if token > 0 else float("inf")
        """Padding tokens that cost as much as one further call."""

    def seconds(self, rows: int, length: int) -> float:
        """What a call with this many rows of this padded length takes."""
        return self.call + self.token * rows * length


def group(waiting: Mapping[int, int], lead: int, most: int, spare: float) -> list[int]:
    """The buckets that go into one call with the bucket `lead`.

    Starting from `lead`, the next shorter and next longer buckets are taken in as long as the
    padding that this adds costs less than the call it saves, and room is left.

    Args:
        waiting: Rows that wait in each bucket.
        lead: The bucket of the row that has waited longest.
        most: Rows in a call.
        spare: Padding tokens that cost as much as a call, `Costs.spare`.

    Returns:
        Buckets, `lead` first.
    """
    edges = sorted(waiting)
    low = high = edges.index(lead)
    chosen, rows = [lead], waiting[lead]
    while rows < most:
        shorter = edges[low - 1] if low > 0 else None
        longer = edges[high + 1] if high + 1 < len(edges) else None
        price_shorter = (
            (edges[high] - shorter) * min(waiting[shorter], most - rows)
            if shorter is not None
            else float("inf")
        )
        price_longer = (longer - edges[high]) * rows if longer is not None else float("inf")
        if min(price_shorter, price_longer) >= spare:
            break
        if price_shorter <= price_longer:
            assert shorter is not None
            low -= 1
            chosen.append(shorter)
            rows += waiting[shorter]
        else:
            assert longer is not None
            high += 1
            chosen.append(longer)
            rows += waiting[longer]
    return chosen
