"""How closely a graph follows the framework that trained it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Agreement(NamedTuple):
    """Largest probability difference, and the share of rows with the same predicted class."""

    max_difference: float
    agreement: float


def agreement(found: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Compare probabilities `[n, k]`, n at least 1."""
    return Agreement(
        float(np.abs(found.astype(np.float64) - expected).max()),
        float((found.argmax(1) == expected.argmax(1)).mean()),
    )
