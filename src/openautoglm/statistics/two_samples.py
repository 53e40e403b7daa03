"""How far apart are two samples, and could that be an accident? Effect sizes with p-values."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri, kolmogorov


class Effect(NamedTuple):
    """A distance between 0 (alike) and 1, and its p-value under "the same distribution"."""

    size: float
    p_value: float


def kolmogorov_smirnov(a: NDArray[np.float64], b: NDArray[np.float64]) -> Effect:
    """Largest distance between the distribution functions of two samples of numbers.

    It needs no bins and no scale, and where most values are one value it is the difference of
    that value's shares. The p-value is the limiting one (Smirnov, Ann. Math. Stat. 1948): where it
    is small, few rows and ties make it too large, never too small.

    Args:
        a: `float64[n]`, n at least 1.
        b: `float64[m]`, m at least 1.
    """
    both = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(x), both, side="right") / len(x) for x in (a, b)]
    size = float(np.abs(below[0] - below[1]).max())
    n, m = len(a), len(b)
    return Effect(size, float(kolmogorov(size * math.sqrt(n * m / (n + m)))))


def smallest_distance(n: int, m: int, alpha: float) -> float:
    """The Kolmogorov-Smirnov distance that samples of n and m rows exceed with chance alpha.

    Of equally distributed samples, by the asymptotic tail `2 exp(-2 d**2 nm / (n + m))`; 1 where
    no distance is that rare, and where a sample is empty.
    """
    if not n or not m:
        return 1.0
    return min(1.0, math.sqrt(-math.log(alpha / 2) / 2 * (n + m) / (n * m)))


def cramers_v(counts: NDArray[np.int64] | NDArray[np.float64]) -> Effect:
    """Cramer's V of a table, corrected for bias (Bergsma, J. Korean Stat. Soc. 2013).

    Without the correction V grows with the number of classes: a hundred classes in two equal
    samples of a thousand rows have V = 0.22. The p-value is of the chi-square test, for which
    classes with less than one expected row in a sample are put together (Cochran, Biometrics
    1954).

    Args:
        counts: `[2, k]`, one row a sample, each with at least one observation; as they were
            counted, or `evened`.
    """
    table = _pooled(counts.astype(np.float64))
    n, k = table.sum(), table.shape[1]
    if k < 2:
        return Effect(0.0, 1.0)
    expected = table.sum(1, keepdims=True) * table.sum(0) / n
    statistic = float(((table - expected) ** 2 / expected).sum())
    excess = max(0.0, statistic / n - (k - 1) / (n - 1))
    widths = [side - (side - 1) ** 2 / (n - 1) for side in table.shape]
    size = math.sqrt(min(1.0, excess / (min(widths) - 1))) if min(widths) > 1 else 0.0
    return Effect(size, float(chdtrc(k - 1, statistic)))


def evened(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The same shares in two samples of equal size, which tell as much as the two together.

    Cramer's V of unequal samples is smaller than of equal ones with the same shares: its square
    has the factor `nm / (n + m)**2`. The size is the harmonic mean of both, `2nm / (n + m)`: then
    the variance of a difference of shares, `p (1 - p) (1/n + 1/m)`, is what it was, and with it
    `cramers_v`'s correction and p-value.

    Args:
        counts: `int64[2, k]`, one row a sample, each with at least one observation.
    """
    sizes = counts.sum(1, keepdims=True).astype(np.float64)
    even: NDArray[np.float64] = counts / sizes * (2 / (1 / sizes).sum())
    return even


def smallest_association(n: float, k: int, alpha: float) -> float:
    """The Cramer's V that two samples of n rows each, of k classes, exceed with chance alpha.

    Of equally distributed samples, by the limiting distribution of the chi-square statistic.

    Args:
        n: Above 0.
        k: At least 2.
        alpha: In (0, 1).
    """
    excess = float(chdtri(k - 1, alpha)) - (k - 1)
    return min(1.0, math.sqrt(max(0.0, excess) / (2 * n)))


def _pooled(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    expected = counts.sum(0) * counts.sum(1).min() / counts.sum()
    rare = expected < 1
    table = np.concatenate([counts[:, ~rare], counts[:, rare].sum(1, keepdims=True)], axis=1)
    return table[:, table.sum(0) > 0]
