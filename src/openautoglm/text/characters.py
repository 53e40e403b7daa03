"""Ids of texts in one table look-up, for tokenizers that take every character by itself.

`tokenizers` finds characters by a regular expression: 15 microseconds for a headline, an eighth of
what a small model costs for it. Where a tokenizer does nothing but look characters up, numpy does
it for a whole batch at once; the table is filled by the tokenizer itself, as characters turn up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

_CODE_POINTS = 0x110000
_SEVERAL = -1  # a character whose lower case is several characters
_EVERY_CHARACTER = {
    "type": "Split",
    "pattern": {"Regex": r"[\s\S]"},
    "behavior": "Isolated",
    "invert": False,
}


class CharacterTable:
    """Character to id, for one tokenizer.

    Args:
        tokenizer: One for which `fits` holds.
        parts: Its tokens that stand for several characters.
        before: Ids in front of every text.
        after: Ids behind it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        parts: Sequence[str],
        before: Sequence[int],
        after: Sequence[int],
    ) -> None:
        self.before = np.array(before, np.int64)
        self.after = np.array(after, np.int64)
        self._tokenizer = tokenizer
        self._parts = parts
        # Ids are kept plus one: 0 is a character that was not seen yet, and pages of the table
        # that no character of the data touches take no memory.
        self._table = np.zeros(_CODE_POINTS, np.int64)

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self | None:
        """The table of a tokenizer; None if it does more than to look characters up."""
        told = json.loads(tokenizer.to_str())
        normalizer, template = told["normalizer"], told["post_processor"]
        simple = (
            (normalizer is None or normalizer["type"] == "Lowercase")
            and told["pre_tokenizer"] == _EVERY_CHARACTER
            and told["model"]["type"] == "WordLevel"
            and (template is None or template["type"] == "TemplateProcessing")
        )
        if not simple:
            return None
        around = _around(template)
        parts = [token["content"] for token in told["added_tokens"]]
        return None if around is None else cls(tokenizer, parts, *around)

    def ids(self, texts: Sequence[str]) -> NDArray[np.int64] | None:
        """Ids of the characters of all texts, one after the other, without those around them.

        None where a text holds something that is no single character to the tokenizer.
        """
        joined = "".join(texts)
        if any(part in joined for part in self._parts):
            return None
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        found: NDArray[np.int64] = self._table[codes]
        if len(found) and found.min() <= 0:
            self._learn(codes[found == 0])
            found = self._table[codes]
            if found.min() < 0:
                return None
        return found - 1

    def _learn(self, codes: NDArray[np.uint32]) -> None:
        for code in np.unique(codes).tolist():
            ids = self._tokenizer.encode(chr(code), add_special_tokens=False).ids
            self._table[code] = ids[0] + 1 if len(ids) == 1 else _SEVERAL


def _around(template: dict[str, Any] | None) -> tuple[list[int], list[int]] | None:
    """Ids that a template puts before and after a text; None if it does anything else."""
    if template is None:
        return [], []
    pieces = template["single"]
    places = [place for place, piece in enumerate(pieces) if "Sequence" in piece]
    if len(places) != 1:
        return None
    ids = [
        []
        if "Sequence" in piece
        else template["special_tokens"][piece["SpecialToken"]["id"]]["ids"]
        for piece in pieces
    ]
    at = places[0]
    return [*chain.from_iterable(ids[:at])], [*chain.from_iterable(ids[at + 1 :])]
