"""Percentile bootstrap intervals (Efron & Tibshirani 1993) for metrics of confusion counts.

Drawing n rows with replacement is drawing the cell counts from a multinomial, so a resample
costs one draw over the occupied cells and not n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openautoglm.statistics.classification import Labels, confusion, metric_of


class Interval(NamedTuple):
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float


def interval(
    y: Labels,
    predicted: Labels,
    k: int,
    *,
    metric: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Interval of one metric over rows.

    Args:
        y: True classes, `int64[n]`, n at least 1.
        predicted: Predicted classes, `int64[n]`.
        k: Number of classes.
        metric: `accuracy` or `macro_f1`.
        resamples: Bootstrap resamples.
        confidence: Share of resamples inside the interval.
        seed: Seed of the resamples.
    """
    counts = confusion(y, predicted, k)
    draws = _draw(counts.ravel(), resamples, seed).reshape(resamples, k, k)
    return _percentiles(float(metric_of(metric, counts)), metric_of(metric, draws), confidence)


def paired_difference(
    y: Labels,
    a: Labels,
    b: Labels,
    k: int,
    *,
    metric: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Interval of metric(a) - metric(b), both on the same rows; arguments as in `interval`."""
    cells, counts = np.unique((y * k + a) * k + b, return_counts=True)
    draws = _draw(counts, resamples, seed)
    truth, first, second = cells // (k * k), cells // k % k, cells % k
    value = metric_of(metric, confusion(y, a, k)) - metric_of(metric, confusion(y, b, k))
    spread = metric_of(metric, _marginal(draws, truth * k + first, k)) - metric_of(
        metric, _marginal(draws, truth * k + second, k)
    )
    return _percentiles(float(value), spread, confidence)


def _draw(counts: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.int64]:
    total = int(counts.sum())
    return np.random.default_rng(seed).multinomial(total, counts / total, size=resamples)


def _marginal(draws: NDArray[np.int64], cell: Labels, k: int) -> NDArray[np.int64]:
    sums = np.zeros((len(draws), k * k), dtype=np.int64)
    order = np.argsort(cell, kind="stable")
    places, starts = np.unique(cell[order], return_index=True)
    sums[:, places] = np.add.reduceat(draws[:, order], starts, axis=1)
    return sums.reshape(-1, k, k)


def _percentiles(value: float, spread: NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(spread, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
