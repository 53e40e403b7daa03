"""Texts to padded id matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from openautoglm.errors import ArtifactError
from openautoglm.text.characters import CharacterTable


class TextEncoder:
    """A `tokenizers` file with a maximum length.

    Args:
        tokenizer: The tokenizer; its padding token's id is what the graphs mask.
        max_length: Longest row in tokens; longer texts are cut.
        pad_id: Id that fills short rows.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_length: int, pad_id: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self.max_length = max_length
        self.pad_id = pad_id
        self._table = CharacterTable.of(tokenizer)

    @classmethod
    def load(cls, path: Path, *, max_length: int, pad_id: int) -> TextEncoder:
        """Read a `tokenizer.json`.

        Raises:
            ArtifactError: The file is missing or is not a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise ArtifactError(f"not a tokenizer: {error}", where=str(path)) from None
        return cls(tokenizer, max_length=max_length, pad_id=pad_id)

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Texts as `int64[rows, length]`: the matrix of their ids."""
        table = self._table
        room = self.max_length - len(table.before) - len(table.after) if table else 0
        if table and room > 0:
            cut = [text[:room] for text in texts]
            ids = table.ids(cut)
            if ids is not None:
                return self._framed(ids, np.fromiter(map(len, cut), np.int64, len(cut)))
        return self.matrix(self.ids(texts))

    def _framed(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """A matrix of characters' ids, with what stands before and after each text."""
        assert self._table is not None
        before, after = self._table.before, self._table.after
        first, ends = len(before), lengths + len(before)
        width = max(int(ends.max(initial=0)) + len(after), 1)
        out = np.full((len(lengths), width), self.pad_id, np.int64)
        out[:, :first] = before
        place = np.arange(width)
        out[(place >= first) & (place < ends[:, None])] = ids
        for offset, id_ in enumerate(after.tolist()):
            out[np.arange(len(lengths)), ends + offset] = id_
        return out

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, unpadded; at least one id each, so that no row is empty."""
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        return [item.ids or [self.pad_id] for item in encoded]

    def matrix(self, rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """Rows of ids as `int64[rows, length]`, padded on the right to the longest."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        width = int(lengths.max(initial=1))
        out = np.full((len(rows), width), self.pad_id, np.int64)
        mask = np.arange(width) < lengths[:, None]
        out[mask] = np.concatenate([np.asarray(row, np.int64) for row in rows]) if len(rows) else 0
        return out
