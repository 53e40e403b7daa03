"""What is compared of a window: one column a property of its rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from openautoglm.drift.vocabulary import Vocabulary
from openautoglm.drift.window import Window, draw, labelled
from openautoglm.inference.model import Model

Values = NDArray[np.float64] | NDArray[np.object_]
Columns = dict[str, Values]
"""Column name to its values: numbers `float64[n]`, or class names `object[n]`. The class column
may be shorter than the others: it has the rows that have a label."""
CLASS, PREDICTED, CONFIDENCE = "class", "predicted", "confidence"
_CONFIDENCE_DIGITS = 4
"""So that the last bits of a probability, which differ between CPUs, move no row."""


def sample_columns(
    window: Window,
    model: Model,
    vocabulary: Vocabulary | None,
    features: Sequence[str] | None,
    *,
    rows: int,
    seed: int,
) -> Columns:
    """The columns of a sample of a window; no other row is predicted or described.

    Args:
        window: Rows as they arrived.
        model: The model whose predictions are watched.
        vocabulary: What train had; for texts.
        features: Names of the numeric columns; None for texts.
        rows: Size of the sample, smaller where the window is.
        seed: Seed of the sample.
    """
    sample = window.take(draw(window, rows, seed))
    found = describe(sample, model.predict_proba(sample.inputs), model.labels, vocabulary, features)
    if window.labels is not None:
        # Rows with a label may be few among all, so they get a sample of their own.
        known = labelled(window)
        found[CLASS] = np.array(known.take(draw(known, rows, seed)).labels, object)
    return found


def describe(
    window: Window,
    proba: NDArray[np.floating],
    labels: Sequence[str],
    vocabulary: Vocabulary | None,
    features: Sequence[str] | None,
) -> Columns:
    """The columns of rows whose predictions are known.

    Args:
        window: n rows.
        proba: Probabilities `[n, k]`.
        labels: The k classes.
        vocabulary: What train had; for texts.
        features: Names of the numeric columns; None for texts.
    """
    found: Columns
    if isinstance(window.inputs, np.ndarray):
        names = features or ()
        found = {f"feature.{name}": window.inputs[:, i] for i, name in enumerate(names)}
    else:
        assert vocabulary is not None
        texts = window.inputs
        found = {name: _numbers(texts, of) for name, of in _descriptors(vocabulary).items()}
    if window.labels is not None:
        found[CLASS] = np.array([x for x in window.labels if x is not None], object)
    found[PREDICTED] = np.array(labels, object)[proba.argmax(1)]
    found[CONFIDENCE] = proba.max(1).astype(np.float64).round(_CONFIDENCE_DIGITS)
    return found


def _descriptors(vocabulary: Vocabulary) -> dict[str, Callable[[str], float]]:
    return {
        "length": len,
        "non_letters": lambda text: sum(not char.isalpha() for char in text) / max(1, len(text)),
        "latin": lambda text: sum(map(_latin, text)) / max(1, len(text)),
        "unseen_characters": vocabulary.unseen_characters,
        "unseen_bigrams": vocabulary.unseen_bigrams,
    }


def _numbers(texts: Sequence[str], of: Callable[[str], float]) -> NDArray[np.float64]:
    return np.fromiter(map(of, texts), np.float64, len(texts))


def _latin(char: str) -> bool:
    if char.isascii():
        return char.isalpha()
    return char.isalpha() and unicodedata.name(char, "").startswith("LATIN")
