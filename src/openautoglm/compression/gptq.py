"""GPTQ: each rounding error is made good by the numbers of the row that are not rounded yet.

Frantar, Ashkboos, Hoefler, Alistarh: GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers, 2022 (ICLR 2023), algorithm 1, on a grid fixed beforehand and in the
order of falling second moments ("act order" with static groups, from the authors' code).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openautoglm.compression.blockwise import Grid, codes

_DAMP = 0.01
_LAZY = 128


def gptq(weight: NDArray[np.float32], moment: NDArray[np.float64], wide: Grid) -> NDArray[np.uint8]:
    """Codes of `weight` that keep `weight @ x` close for the inputs x that were seen.

    Args:
        weight: `[out, in]`.
        moment: Sum of `x x^T` over inputs, `[in, in]`.
        wide: The grid of each number, `[out, in]`.

    Returns:
        `uint8[out, in]`, each 0 to 15.
    """
    order = np.argsort(-np.diag(moment), kind="stable")
    factor = _inverse_factor(moment[np.ix_(order, order)])
    rest = weight[:, order].astype(np.float64)
    scale, zero = wide.scale[:, order], wide.zero[:, order]
    found = np.empty(weight.shape, np.uint8)
    width = len(order)
    for start in range(0, width, _LAZY):
        end = min(start + _LAZY, width)
        errors = np.zeros((len(weight), end - start))
        for at in range(start, end):
            column = codes(rest[:, at], Grid(scale[:, at], zero[:, at]))
            found[:, order[at]] = column
            missed = rest[:, at] - (column - zero[:, at]) * scale[:, at]
            errors[:, at - start] = missed / factor[at, at]
            rest[:, at:end] -= np.outer(errors[:, at - start], factor[at, at:end])
        # The columns to come learn of a whole block's errors at once.
        rest[:, end:] -= errors @ factor[start:end, end:]
    return found


def _inverse_factor(moment: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upper triangle U with `U^T U` the inverse of the damped moments."""
    damped = moment.copy()
    mean = float(np.diag(moment).mean())
    # Inputs that are always zero, or no inputs at all: the identity, which is round to nearest.
    damped[np.diag_indices_from(damped)] += _DAMP * mean if mean > 0 else 1.0
    lower: NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped))
    return lower.T
