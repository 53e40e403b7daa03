"""Is the difference of two rates more, or less, than a limit? Bets on every request.

Each request of the champion multiplies the evidence by `1 + (y - x0) b/n0`, each of the challenger
by `1 - (y - x1) b/n1`; y is 1 for an event, n0 and n1 the exposures of the look. Since `1 + z` is
at most `exp(z)`, the mean of a look's product is at most `exp(b ((p0 - x0) - (p1 - x1)))`, whatever
the rates p0 and p1 are in it and whatever x0, x1 and b were chosen before it. With
`x1 - x0 = limit`:

- b > 0: at most 1 whenever `p1 - p0 >= limit`; evidence that the difference is less;
- b < 0: at most 1 whenever `p1 - p0 <= limit`; evidence that it is more.

With x0 and b at the growth-rate optimum these are the e-variables of Turner, Ly & Grünwald,
"Generic E-variables for exact sequential k-sample tests that allow for optional stopping" (JSPI
2024): likelihood ratios of the alternative against the point of the null nearest to it.
"""

from __future__ import annotations

import numpy as np

from openautoglm.rollout.analysis.looks import Floats

_STEPS = 4
_EDGE = 1e-6
_MOST = 0.95  # of the bet at which one request could take all


def two_arms(block: Floats, rate: Floats, to: Floats, limit: float) -> Floats:
    """Logarithm of a block's product, `[...]` as broadcast from `to`.

    Args:
        block: n0, n1, k0, k1 of a look, `[4, ...]`; an arm without exposure gives 0.
        rate: The champion's rate as it was known before the block, `[...]`.
        to: The challenger's rate if the alternative is true, `[alternatives, ...]`. On which side
            of `rate + limit` it lies says which of the two questions is asked.
        limit: The difference that is asked about.
    """
    n0, n1, k0, k1 = block
    whole = (n0 > 0) & (n1 > 0)
    n0, n1 = np.where(whole, n0, 1.0), np.where(whole, n1, 1.0)
    k0, k1 = k0 * whole, k1 * whole
    x0, bet = _optimum(n0, n1, rate, to, limit)
    x1 = x0 + limit
    bet = np.clip(
        bet,
        -_MOST * np.minimum(n0 / (1 - x0), n1 / x1),
        _MOST * np.minimum(n0 / x0, n1 / (1 - x1)),
    )
    champion, challenger = bet / n0, bet / n1
    growth = (
        k0 * np.log1p((1 - x0) * champion)
        + (n0 - k0) * np.log1p(-x0 * champion)
        + k1 * np.log1p(-(1 - x1) * challenger)
        + (n1 - k1) * np.log1p(x1 * challenger)
    )
    return np.asarray(np.where(whole, growth, 0.0))


def _optimum(
    n0: Floats, n1: Floats, rate: Floats, to: Floats, limit: float
) -> tuple[Floats, Floats]:
    """The nearest point of the null (its champion's rate) and the bet; near is good enough.

    Any x0 gives a valid bet, so a few damped steps of reweighted least squares do.
    """
    low, high = max(0.0, -limit) + _EDGE, min(1.0, 1 - limit) - _EDGE
    x0 = np.clip(rate, low, high) + np.zeros_like(to)
    for _ in range(_STEPS):
        x1 = x0 + limit
        weight0, weight1 = n0 * x1 * (1 - x1), n1 * x0 * (1 - x0)
        step = (weight0 * rate + weight1 * (to - limit)) / (weight0 + weight1)
        x0 = np.clip((x0 + step) / 2, low, high)
    x1 = x0 + limit
    return x0, (rate + limit - to) / (x0 * (1 - x0) / n0 + x1 * (1 - x1) / n1)


def pairs(block: Floats, rate: Floats, to: Floats, limit: float) -> Floats:
    """The same for requests that both arms answered: differences in {-1, 0, 1}, `[...]`.

    A request multiplies the evidence by `1 - b (d - limit)`, d being 1 when only the challenger's
    answer is an event and -1 when only the champion's is.

    Args:
        block: n, n, events only of the champion, only of the challenger, `[4, ...]`.
        rate: Share of requests with d not 0, as known before the block, `[...]`.
        to: The mean of d if the alternative is true, `[alternatives, ...]`.
        limit: The mean of d that is asked about.
    """
    n, _, fewer, more = block
    bet = (limit - to) / (rate + (limit - to) ** 2)
    bet = np.clip(bet, -_MOST / (1 + limit), _MOST / (1 - limit))
    return np.asarray(
        more * np.log1p(-bet * (1 - limit))
        + fewer * np.log1p(bet * (1 + limit))
        + (n - more - fewer) * np.log1p(bet * limit)
    )
