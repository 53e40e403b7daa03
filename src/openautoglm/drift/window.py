"""A window of rows, and the fixed-size sample of it that is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Inputs = Sequence[str] | NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """Rows as they arrived, repetitions included.

    Attributes:
        inputs: n normalised texts, or features `float64[n, d]`.
        labels: Class names, None where a row has none; None when no row has one.
    """

    inputs: Inputs
    labels: Sequence[str | None] | None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, places: NDArray[np.int64]) -> Window:
        """The rows at these places."""
        if isinstance(self.inputs, np.ndarray):
            inputs: Inputs = self.inputs[places]
        else:
            inputs = [self.inputs[place] for place in places.tolist()]
        labels = self.labels
        return Window(inputs, labels and [labels[place] for place in places.tolist()])


def draw(window: Window, rows: int, seed: int) -> NDArray[np.int64]:
    """Places of a sample of at most `rows` rows.

    The rows with the smallest hashes of (seed, input, label, how often these came before): a
    function of the rows and not of their order, and the same rows again in every later run.

    Returns:
        `int64[min(rows, n)]`, in the order of the hashes.
    """
    labels = window.labels or [None] * len(window)
    before: Counter[bytes] = Counter()
    hashes = []
    for row, label in zip(window.inputs, labels, strict=True):
        content = row.encode() if isinstance(row, str) else np.asarray(row, "<f8").tobytes()
        key = content + b"\0" + (label or "").encode()
        hashes.append(sha256(f"{seed}\0{before[key]}\0".encode() + key).digest())
        before[key] += 1
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return np.array(order[:rows], np.int64)


def labelled(window: Window) -> Window:
    """The rows that have a label."""
    labels = window.labels or [None] * len(window)
    return window.take(np.flatnonzero([label is not None for label in labels]))
