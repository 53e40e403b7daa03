"""Hashed character n-gram ids by integer arithmetic.

The exported graphs do the same arithmetic on the same int64 ids (`openautoglm.training.ngrams`);
a test holds the two against each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PAD = 0
UNKNOWN = 1


def ngram_ids(ids: NDArray[np.int64], order: int, buckets: int) -> NDArray[np.int64]:
    raise NotImplementedError
