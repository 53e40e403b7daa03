"""Which variant is served: the smallest whose loss is shown to be small, or the fp32 graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openautoglm.config.compression import CompressGate
from openautoglm.statistics.bootstrap import Interval


@dataclass(frozen=True)
class Offer:
    """A variant as the gate sees it.

    Attributes:
        family: Its network.
        variant: Its precision.
        bytes: Size of its graph.
        change: Paired change of the gate's metric on valid against the candidate's fp32 graph.
    """

    family: str
    variant: str
    bytes: int
    change: Interval


@dataclass(frozen=True)
class Chosen:
    """The variant that is served, and why in words."""

    family: str
    variant: str
    reason: str


def choose(offers: Sequence[Offer], fp32: Offer, gate: CompressGate) -> Chosen:
    """The smallest offer that saves enough and loses little enough; undecided is not enough.

    Args:
        offers: All variants; of equally small ones the one that is shown to lose less counts.
        fp32: The candidate's fp32 graph, whose change is 0.
        gate: The thresholds.
    """
    most = (1 - gate.min_gain) * fp32.bytes
    worth = [o for o in offers if o.bytes <= most and o.bytes < fp32.bytes]
    passing = [offer for offer in worth if offer.change.low > -gate.max_loss]
    limit = f"{gate.metric} may fall by {gate.max_loss:g}"
    if not worth:
        return _uncompressed(fp32, f"no variant saves {100 * gate.min_gain:g} % of the bytes")
    if not passing:
        near = max(worth, key=lambda offer: offer.change.low)
        told = f"none of {len(worth)} smaller variants is shown to be good enough: {limit}"
        return _uncompressed(fp32, f"{told}; nearest: {_told(near, fp32)}")
    found = min(passing, key=lambda offer: (offer.bytes, -offer.change.low))
    return Chosen(found.family, found.variant, f"{_told(found, fp32)}; {limit}")


def _uncompressed(fp32: Offer, why: str) -> Chosen:
    return Chosen(fp32.family, fp32.variant, f"do not compress: {why}")


def _told(offer: Offer, fp32: Offer) -> str:
    change = offer.change
    return (
        f"{offer.family} {offer.variant} has {100 * offer.bytes / fp32.bytes:.0f} % of the bytes, "
        f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}] on valid"
    )
