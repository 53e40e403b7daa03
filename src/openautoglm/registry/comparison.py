"""Two models on the rows both were tested on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openautoglm.registry.predictions import Predictions
from openautoglm.statistics.bootstrap import Interval, paired_difference
from openautoglm.statistics.classification import METRICS, confusion, f1_of
from openautoglm.statistics.paired import McNemar, mcnemar

FEWEST = 30
"""Below this many shared rows an interval says nothing."""


class Comparison(NamedTuple):
    """A minus B on shared rows.

    Attributes:
        rows: Shared rows; a row whose true label differs between the two is none.
        labels: Class names, sorted.
        differences: Metric name to the interval of A minus B.
        test: McNemar's test.
        f1: F1 of each class for A and B, `float64[2, k]`; NaN for a class not seen.
    """

    rows: int
    labels: tuple[str, ...]
    differences: dict[str, Interval]
    test: McNemar
    f1: NDArray[np.float64]


def shared_rows(a: Predictions, b: Predictions) -> list[str]:
    """Ids that both have, with the same true label."""
    return sorted(one for one, label in a.label.items() if b.label.get(one) == label)


def compare_predictions(
    a: Predictions, b: Predictions, *, resamples: int, confidence: float, seed: int
) -> Comparison | None:
    """Compare on shared rows; None when there are fewer than `FEWEST`.

    Args:
        a: One model's predictions.
        b: The other's.
        resamples: Bootstrap resamples.
        confidence: Of the intervals.
        seed: Of the resamples.
    """
    ids = shared_rows(a, b)
    if len(ids) < FEWEST:
        return None
    columns = [[side[one] for one in ids] for side in (a.label, a.predicted, b.predicted)]
    labels = sorted({label for column in columns for label in column})
    place = {label: number for number, label in enumerate(labels)}
    y, first, second = (np.array([place[v] for v in column], np.int64) for column in columns)
    k = len(labels)
    differences = {
        metric: paired_difference(
            y,
            first,
            second,
            k,
            metric=metric,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )
        for metric in METRICS
    }
    f1 = np.stack([f1_of(confusion(y, side, k)) for side in (first, second)])
    return Comparison(len(ids), tuple(labels), differences, mcnemar(y, first, second), f1)


def figures(comparison: Comparison) -> dict[str, float]:
    """A comparison as metrics."""
    found: dict[str, float] = {"rows": comparison.rows}
    for metric, spread in comparison.differences.items():
        found |= {
            metric: spread.value,
            f"{metric}_low": spread.low,
            f"{metric}_high": spread.high,
        }
    test = comparison.test
    return found | {"p_value": test.p_value, "only_a": test.only_a, "only_b": test.only_b}


def verdict(comparison: Comparison, a: str, b: str, confidence: float) -> str:
    """What the comparison shows, in words.

    Args:
        comparison: A minus B.
        a: What A is called.
        b: What B is called.
        confidence: Of the intervals.
    """
    spread, test = comparison.differences["accuracy"], comparison.test
    better, worse = (a, b) if spread.value > 0 else (b, a)
    sure = test.p_value < 1 - confidence
    points = f"{100 * abs(spread.value):.1f} points"
    told = (
        f"{better[0].upper()}{better[1:]} is more accurate than {worse} by {points}"
        if sure
        else f"No difference in accuracy between {a} and {b} is shown; "
        f"{a} minus {b} is {100 * spread.value:+.1f} points"
    )
    f1 = comparison.differences["macro_f1"]
    return (
        f"{told} on {comparison.rows} rows ({100 * confidence:g} % interval of {a} minus {b}: "
        f"{100 * spread.low:+.1f} to {100 * spread.high:+.1f}; macro F1 {f1.value:+.4f}, "
        f"{f1.low:+.4f} to {f1.high:+.4f}). Rows only {a} has right: {test.only_a}, only {b}: "
        f"{test.only_b}; McNemar p = {test.p_value:.2g}."
    )
