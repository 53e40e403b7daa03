"""A row's id and split: functions of the row alone."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from openautoglm.config.data import Splits

Ids = NDArray[np.uint64]
NAMES = tuple(Splits.model_fields)
"""train, valid, test, replay, reference: the order in which they share the range of hashes."""


def text_ids(texts: Sequence[str]) -> Ids:
    """The first 64 bits of each text's SHA-256.

    Of a million texts, two share an id with probability 3e-8; they would count as duplicates, so
    that ids are unique in any case.
    """
    return _ids(sha256(text.encode()).digest()[:8] for text in texts)


def feature_ids(values: NDArray[np.float64]) -> Ids:
    """The same for rows of numbers `[n, d]`: over their little-endian doubles, -0.0 as 0.0."""
    width = values.shape[1] * 8
    raw = memoryview((values + 0.0).astype("<f8").tobytes())
    return _ids(
        sha256(raw[start : start + width]).digest()[:8] for start in range(0, len(raw), width)
    )


def _ids(digests: object) -> Ids:
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)  # type: ignore[arg-type]


def id_names(ids: Ids) -> list[str]:
    """Ids as the 16 hex digits that every later step stores."""
    return [f"{number:016x}" for number in ids.tolist()]


def assign(ids: Ids, shares: Splits, *, fixed_test: bool) -> NDArray[np.int64]:
    """Which split each row belongs to, as a position in `NAMES`.

    The id, scaled to [0, 1), is looked up among the cumulative shares.

    Args:
        ids: `uint64[n]`.
        shares: Shares of the splits.
        fixed_test: Whether a test file exists: the test share of the range then goes to train,
            and no other row moves.
    """
    ends = np.cumsum([getattr(shares, name) for name in NAMES])
    # 53 bits are what a double holds: the scaled value stays below 1. Divided by the last end,
    # a split of share 0 gets nothing even where the sum is 1 but for rounding.
    scaled = (ids >> np.uint64(11)).astype(np.float64) * 2.0**-53
    found = np.searchsorted(ends / ends[-1], scaled, side="right").astype(np.int64)
    if fixed_test:
        found[found == NAMES.index("test")] = NAMES.index("train")
    return found
