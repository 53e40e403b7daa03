"""Weights as 4-bit codes on a grid of their own for every 32 numbers of a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GROUP = 32
"""Numbers that share a scale and a zero; the usual choice, and 0.75 bits a number with fp16."""
LEVELS = 15


class Grid(NamedTuple):
    """A number is `(code - zero) * scale` of its block; both are `float32[rows, blocks]`."""

    scale: NDArray[np.float32]
    zero: NDArray[np.float32]

    def wide(self, columns: int) -> Grid:
        """The same for each number: `[rows, columns]`."""
        scale, zero = (np.repeat(part, GROUP, axis=1)[:, :columns] for part in self)
        return Grid(scale, zero)


def grid(weight: NDArray[np.float32]) -> Grid:
    """The grid from the least to the largest number of each block of `weight[rows, columns]`.

    Zero is always on it: the row of a padding id stays zero. Scales are rounded to fp16 here, so
    that nothing is lost when they are stored as that.
    """
    rows, columns = weight.shape
    blocks = -(-columns // GROUP)
    padded = np.zeros((rows, blocks * GROUP), np.float32)
    padded[:, :columns] = weight
    parts = padded.reshape(rows, blocks, GROUP)
    least, most = np.minimum(parts.min(2), 0), np.maximum(parts.max(2), 0)
    scale = ((most - least) / LEVELS).astype(np.float16).astype(np.float32)
    scale[scale == 0] = 1  # all zero, or too small for fp16: every code is the zero
    return Grid(scale, np.clip(np.rint(-least / scale), 0, LEVELS).astype(np.float32))


def codes(weight: NDArray[np.floating], wide: Grid) -> NDArray[np.uint8]:
    """Round to nearest: codes 0 to 15 of numbers on a grid of the same shape."""
    steps = np.rint(weight / wide.scale) + wide.zero
    found: NDArray[np.uint8] = np.clip(steps, 0, LEVELS).astype(np.uint8)
    return found


def pack(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two codes a byte along the last axis, the first in the low half; 0 fills an odd row."""
    if found.shape[-1] % 2:
        found = np.concatenate([found, np.zeros_like(found[..., :1])], axis=-1)
    return np.bitwise_or(found[..., ::2], np.left_shift(found[..., 1::2], 4), dtype=np.uint8)
