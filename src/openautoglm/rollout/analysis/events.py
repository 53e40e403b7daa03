"""Events counted in two arms: the evidence for "worse" and for "no worse", look by look.

Both are e-processes: under the hypothesis they speak against, the chance that they ever reach
1/alpha is at most alpha, however often one looks. See `ratios` and `bets` for the two tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openautoglm.rollout.analysis.bets import pairs, two_arms
from openautoglm.rollout.analysis.evidence import Metric
from openautoglm.rollout.analysis.looks import Floats
from openautoglm.rollout.analysis.ratios import RATIOS, log_factors, log_mean

SHARES: Floats = np.array([0.0, 0.5, 0.75])
"""True differences, in margins, for which the bets on "no worse" are made."""
PRIOR: Floats = np.array([0.5, 0.25, 0.25])


@dataclass(frozen=True)
class Tests:
    """State of both tests of a metric; plain numbers, from which they go on exactly.

    Attributes:
        seen: n0, n1, k0, k1 of all blocks, `[4, ...]`.
        share: The challenger's share of the last block's exposure, `[...]`.
        worse: Log evidence for "worse" of each ratio of the mixture, `[ratios, ...]`.
        no_worse: Log evidence for "no worse" of each alternative, `[alternatives, ...]`.
    """

    seen: Floats
    share: Floats
    worse: Floats
    no_worse: Floats


def start(*shape: int) -> Tests:
    """Before the first look; `shape` is that of the rollouts."""
    return Tests(
        seen=np.zeros((4, *shape)),
        share=np.zeros(shape),
        worse=np.zeros((len(RATIOS), *shape)),
        no_worse=np.zeros((len(SHARES), *shape)),
    )


def add(tests: Tests, block: Floats, metric: Metric) -> Tests:
    """The tests after one more block, `[4, ...]`, of one unchanged split of the requests."""
    exposure = block[0] + block[1]
    share = np.where(exposure > 0, block[1] / np.maximum(exposure, 1), tests.share)
    worse, no_worse = growth(block, share, tests.seen, metric)
    return Tests(
        seen=tests.seen + block,
        share=share,
        worse=tests.worse + worse,
        no_worse=tests.no_worse + no_worse,
    )


def log_evidence(tests: Tests) -> tuple[Floats, Floats]:
    """Log evidence for "worse" and for "no worse", `[...]` each; 0 when nothing was seen."""
    return log_mean(tests.worse), log_mean(tests.no_worse, PRIOR)


def growth(block: Floats, share: Floats, seen: Floats, metric: Metric) -> tuple[Floats, Floats]:
    """What a block adds to each component of both tests.

    Args:
        block: n0, n1, k0, k1, `[4, ...]`.
        share: The challenger's share of the exposure, `[...]`.
        seen: n0, n1, k0, k1 before the block, from which the bets learn the rates, `[4, ...]`.
        metric: `events` or `pairs`, with tolerance and margin.
    """
    # The first guess of a rate is the margin, worth as much exposure as has half an event.
    if metric.kind == "pairs":
        rate = (seen[2] + seen[3] + 0.5) / (seen[0] + 0.5 / metric.margin)
        share = np.full_like(share, 0.5)
        base, bet = np.zeros_like(rate), pairs
    else:
        rate = (seen[2] + 0.5) / (seen[0] + 0.5 / metric.margin)
        base, bet = rate, two_arms
    close = base + np.multiply.outer(SHARES, np.full_like(base, metric.margin))
    no_worse = bet(block, rate, close, metric.margin)
    if metric.tolerance == 0:
        return log_factors(block[3], block[2] + block[3], share), no_worse
    far = base + metric.tolerance + np.multiply.outer(RATIOS - 1, rate)
    return bet(block, rate, np.minimum(far, 0.99), metric.tolerance), no_worse
