"""Hashed character n-gram ids by integer arithmetic.

The exported graphs do the same arithmetic on the same int64 ids (`openautoglm.training.ngrams`);
a test holds the two against each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PAD = 0
UNKNOWN = 1

MULTIPLIERS = (2_654_435_761, 2_246_822_519, 3_266_489_917, 668_265_263)
"""One odd multiplier a position (the primes of xxHash32, by Yann Collet)."""
MODULUS = 2**31 - 1
"""A Mersenne prime: ids below 2**29 times four multipliers stay below 2**63."""
MAX_ORDER = len(MULTIPLIERS)


def ngram_ids(ids: NDArray[np.int64], order: int, buckets: int) -> NDArray[np.int64]:
    """Bucket of the n-gram that starts at each position.

    Args:
        ids: Character ids `int64[rows, length]`, each below 2**29, padded on the right with `PAD`.
        order: Characters in an n-gram, 1 to `MAX_ORDER`.
        buckets: Number of buckets, at least 2; bucket 0 is for "none here".

    Returns:
        `int64[rows, length]`: 1 to `buckets - 1`, or 0 where the n-gram would reach past the
        last character of the row.
    """
    rows, length = ids.shape
    padded = np.concatenate([ids, np.full((rows, order - 1), PAD, np.int64)], axis=1)
    total = np.zeros((rows, length), np.int64)
    for offset in range(order):
        total += padded[:, offset : offset + length] * MULTIPLIERS[offset]
    bucket = total % MODULUS % (buckets - 1) + 1
    found: NDArray[np.int64] = np.where(padded[:, order - 1 :] == PAD, 0, bucket)
    return found
