"""Classification metrics from labels, predictions and probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
METRICS = ("accuracy", "macro_f1")


def confusion(y: Labels, predicted: Labels, k: int) -> NDArray[np.int64]:
    """Counts, `int64[k, k]`: row is the true class, column the predicted one."""
    return np.bincount(y * k + predicted, minlength=k * k).reshape(k, k)


def accuracy_of(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Accuracy of confusion counts `[..., k, k]`; 0 where there is no row."""
    right = np.trace(counts, axis1=-2, axis2=-1)
    return np.asarray(right / np.maximum(counts.sum((-2, -1)), 1), dtype=np.float64)


def f1_of(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """F1 of each class, `[..., k]`, of confusion counts `[..., k, k]`.

    A class that is neither present nor predicted gets NaN: it has no F1 and takes no part in
    the mean.
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(-1) + counts.sum(-2)
    return np.where(both > 0, 2 * right / np.maximum(both, 1), np.nan)


def macro_f1_of(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Unweighted mean of the classes' F1; 0 where there is no row."""
    f1 = f1_of(counts)
    present = ~np.isnan(f1)
    total = np.where(present, f1, 0.0).sum(-1)
    return np.asarray(total / np.maximum(present.sum(-1), 1), dtype=np.float64)


def metric_of(name: str, counts: NDArray[np.number]) -> NDArray[np.float64]:
    """One of `METRICS`, over confusion counts `[..., k, k]`."""
    return {"accuracy": accuracy_of, "macro_f1": macro_f1_of}[name](counts)


def scores(y: Labels, predicted: Labels, k: int) -> dict[str, float]:
    """Accuracy and macro F1."""
    counts = confusion(y, predicted, k)
    return {name: float(metric_of(name, counts)) for name in METRICS}


def per_class(y: Labels, predicted: Labels, k: int) -> dict[str, NDArray[np.float64]]:
    """Precision, recall, F1 and support of each class, each `float64[k]`."""
    counts = confusion(y, predicted, k)
    right = np.diagonal(counts).astype(float)
    return {
        "precision": right / np.maximum(counts.sum(0), 1),
        "recall": right / np.maximum(counts.sum(1), 1),
        "f1": np.nan_to_num(f1_of(counts)),
        "support": counts.sum(1).astype(float),
    }


def calibration_error(y: Labels, proba: NDArray[np.floating], bins: int = 15) -> float:
    """Expected calibration error of the predicted class's probability.

    Mean over equal-width bins of |accuracy - confidence|, weighted by rows (Guo, Pleiss, Sun,
    Weinberger, ICML 2017).

    Args:
        y: True classes, `int64[n]`.
        proba: Probabilities, `[n, k]`.
        bins: Number of bins on (0, 1].
    """
    if len(y) == 0:
        return 0.0
    confidence = proba.max(1).astype(np.float64)
    right = (proba.argmax(1) == y).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(y))
