"""What one look at the counters brings: how much each arm served since the last look, and how."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BLOCK = 20
"""Requests of both arms together from which on they are judged: fewer have too random a split."""


class Look(NamedTuple):
    """Counted events and the exposure they came from, since the look before; `[...]` each.

    Leading axes are rollouts, so that ten thousand go through the same code as one.

    Attributes:
        n0: Requests (or labels) of the champion.
        n1: Those of the challenger.
        k0: Events among the champion's, at most `n0`.
        k1: Events among the challenger's, at most `n1`.
    """

    n0: ArrayLike
    n1: ArrayLike
    k0: ArrayLike
    k1: ArrayLike


class Values(NamedTuple):
    """The same of values in [0, 1], such as confidences; `[...]` each.

    Attributes:
        n0: Number of values of the champion.
        n1: Those of the challenger.
        sum0: Sum of the champion's values.
        sum1: Sum of the challenger's.
        squares0: Sum of the squares of the champion's values.
        squares1: Those of the challenger's.
    """

    n0: ArrayLike
    n1: ArrayLike
    sum0: ArrayLike
    sum1: ArrayLike
    squares0: ArrayLike
    squares1: ArrayLike


def stacked(look: Look | Values) -> Floats:
    """One array, `float64[4 or 6, ...]`, whose first two rows are the exposures."""
    return np.stack(np.broadcast_arrays(*(np.asarray(part, float) for part in look)))


def pooled(waiting: Floats, new: Floats) -> tuple[Floats, Floats]:
    """Lay small looks together: the block to judge now (zeros where there is none), and the rest.

    Of a look with one request in it only one arm is seen, and nothing can be compared; of a block
    of n, one n-th of the information is lost so. A block ends by its exposure alone, never by its
    events: otherwise it would be a choice of what to look at.

    Args:
        waiting: What earlier looks left, `[4 or 6, ...]`.
        new: The new one, `stacked`.
    """
    both = waiting + new
    block = np.where(both[0] + both[1] >= BLOCK, both, 0.0)
    return block, both - block
