"""Scores of rows that were seen before: exact matches, bounded, of one model only."""

from __future__ import annotations

import struct
from collections import OrderedDict
from hashlib import blake2b

from openautoglm.serving.batching.job import Row

_KEY_BYTES = 16


class Cache:
    """Keeps the scores of the rows that were asked for last.

    A row is kept as a keyed hash (BLAKE2b, 128 bits, the key being the model's digest): an entry
    costs the same whatever the text, another model can never answer, and no text stays in memory.

    Args:
        digest: The model's digest, `sha256-...`.
        entries: Most rows that are kept.
    """

    def __init__(self, digest: str, entries: int) -> None:
        self._key = digest.encode()[-64:]
        self._entries = entries
        self._scores: OrderedDict[bytes, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scores)

    def get(self, row: Row) -> list[float] | None:
        """Scores of a row, or None."""
        key = self._hash(row)
        found = self._scores.get(key)
        if found is not None:
            self._scores.move_to_end(key)
        return found

    def put(self, row: Row, scores: list[float]) -> None:
        """Keep scores; the row that was not asked for longest makes room."""
        key = self._hash(row)
        self._scores[key] = scores
        self._scores.move_to_end(key)
        if len(self._scores) > self._entries:
            self._scores.popitem(last=False)

    def _hash(self, row: Row) -> bytes:
        data = row.encode() if isinstance(row, str) else struct.pack(f"<{len(row)}d", *row)
        return blake2b(data, digest_size=_KEY_BYTES, key=self._key).digest()
