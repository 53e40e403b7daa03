"""Do two classifiers differ on the same rows?"""

from __future__ import annotations

from typing import NamedTuple

from scipy.stats import binomtest

from openautoglm.statistics.classification import Labels


class McNemar(NamedTuple):
    """Rows that only one of the two got right, and how surprising their split is."""

    only_a: int
    only_b: int
    p_value: float


def mcnemar(y: Labels, a: Labels, b: Labels) -> McNemar:
    """Exact McNemar test (McNemar 1947, with the binomial instead of the chi-square).

    Under "equally accurate", each row that exactly one gets right favours either by a fair coin.
    """
    right_a, right_b = a == y, b == y
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    differing = only_a + only_b
    p_value = float(binomtest(only_a, differing).pvalue) if differing else 1.0
    return McNemar(only_a, only_b, p_value)
