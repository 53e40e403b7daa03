"""Texts to padded id matrices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
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

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, unpadded; at least one id each, so that no row is empty."""
        found = None if self._table is None else self._table.ids(texts, self.max_length)
        if found is None:
            found = [item.ids for item in self._tokenizer.encode_batch_fast(list(texts))]
        return [row or [self.pad_id] for row in found]

    def matrix(self, rows: Sequence[list[int]]) -> NDArray[np.int64]:
        """Rows of ids as `int64[rows, length]`, padded on the right to the longest."""
        width = max(map(len, rows), default=1)
        if len(rows) == 1:
            return np.array(rows, np.int64)
        padding = [self.pad_id] * width
        flat = chain.from_iterable(row + padding[len(row) :] for row in rows)
        return np.fromiter(flat, np.int64, len(rows) * width).reshape(len(rows), width)
