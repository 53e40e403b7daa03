"""Confidence sequences for a mean in [0, 1], and for the difference of two arms' means.

The predictable plug-in empirical-Bernstein bound of Waudby-Smith & Ramdas, "Estimating means of
bounded random variables by betting" (JRSS-B 2024, theorem 2): for y at least -1 and b in [0, 1),
`exp(b y - psi(b) y**2) <= 1 + b y` with `psi(b) = -log(1 - b) - b` (Fan, Grama & Liu, EJP 2015).
With y the distance of a value from what was known before, the product over a block's values has a
mean of at most `exp(b (true mean - known mean))`; blocks, and arms with opposite signs, multiply.
Each bound holds at all looks at once except with chance alpha. Where means move, it is a bound of
their average, each block weighed by its information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openautoglm.rollout.analysis.looks import Floats

_MOST = 0.5  # of the bets for which psi is defined


@dataclass(frozen=True)
class Interval:
    """State of a confidence sequence; plain numbers, from which it goes on exactly.

    Attributes:
        seen: Exposure, sum and sum of squares of each arm, `[3, arms, ...]`.
        weight: Sum of the blocks' bets, `[...]`.
        centre: Sum of bet times the block's difference (or mean), `[...]`.
        cost: What the squares cost, `[...]`.
        information: Sum of the inverse variances of the blocks' differences, `[...]`.
    """

    seen: Floats
    weight: Floats
    centre: Floats
    cost: Floats
    information: Floats


def start(arms: int, *shape: int) -> Interval:
    """Before the first block; one arm for a mean, two for challenger minus champion."""
    zero = np.zeros(shape)
    return Interval(np.zeros((3, arms, *shape)), zero, zero, zero, zero)


def add(interval: Interval, block: Floats, *, log_threshold: float, width: float) -> Interval:
    """The sequence after one more block.

    Args:
        interval: The one before.
        block: Exposure, sum and sum of squares of each arm, champion first, `[3, arms, ...]`;
            without exposure of every arm it changes nothing but `seen`.
        log_threshold: `log(1 / alpha)`, alpha of each bound.
        width: Distance of a bound from the estimate at which the sequence is sharpest.
    """
    mean, variance = _known(interval.seen)
    whole = (block[0] > 0).all(0)
    n = np.where(whole, block[0], 1.0)
    spread = (variance / n).sum(0)
    aim = 2 * log_threshold
    bet = np.sqrt(aim / (interval.information + aim / width**2)) / spread
    bet = np.where(whole, np.minimum(bet, _MOST * n.min(0)), 0.0)
    squares = block[2] - 2 * mean * block[1] + block[0] * mean**2
    each = bet / n
    return Interval(
        seen=interval.seen + block,
        weight=interval.weight + bet,
        centre=interval.centre + bet * _difference(block[1] / n),
        cost=interval.cost + ((-np.log1p(-each) - each) * squares).sum(0),
        information=interval.information + np.where(whole, 1 / spread, 0.0),
    )


def bounds(interval: Interval, *, log_threshold: float) -> tuple[Floats, Floats]:
    """Lower and upper bound, `[...]` each; either is ever wrong with chance alpha at most."""
    lowest = -1.0 if interval.seen.shape[1] == 2 else 0.0
    known = interval.weight > 0
    weight = np.where(known, interval.weight, 1.0)
    centre = interval.centre / weight
    reach = (log_threshold + interval.cost) / weight
    low = np.where(known, np.maximum(centre - reach, lowest), lowest)
    high = np.where(known, np.minimum(centre + reach, 1.0), 1.0)
    return low, high


def log_evidence(interval: Interval, limit: float) -> tuple[Floats, Floats]:
    """Log evidence for "more than limit" and for "less than limit", `[...]` each.

    Either reaches `log(1 / alpha)` exactly when that bound passes the limit.
    """
    excess = interval.centre - interval.weight * limit
    return excess - interval.cost, -excess - interval.cost


def means(interval: Interval) -> Floats:
    """Mean of each arm, `[arms, ...]`; NaN without exposure."""
    n, total, _ = interval.seen
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan))


def _known(seen: Floats) -> tuple[Floats, Floats]:
    """Mean and variance as good as known, `[arms, ...]`: those of one more value, far off."""
    n, total, squares = seen
    mean = (total + 0.5) / (n + 1)
    return mean, (squares - 2 * mean * total + n * mean**2 + 0.25) / (n + 1)


def _difference(of: Floats) -> Floats:
    return np.asarray(of[1] - of[0] if len(of) == 2 else of[0])
