"""Ids of texts by looking characters up, for tokenizers that take every character by itself.

`tokenizers` finds characters by a regular expression: 15 microseconds for a headline, a fifth of
what a small model costs for it. Where a tokenizer does nothing but look characters up a dictionary
does the same; the tokenizer itself fills it, as characters turn up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

from tokenizers import Tokenizer

_SEVERAL = -1  # a character whose lower case is several characters
_EVERY_CHARACTER = {
    "type": "Split",
    "pattern": {"Regex": r"[\s\S]"},
    "behavior": "Isolated",
    "invert": False,
}


class CharacterTable(dict[str, int]):
    """Character to id, for one tokenizer; at most as large as Unicode.

    Args:
        tokenizer: What it must agree with.
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
        super().__init__()
        self._tokenizer = tokenizer
        self._parts = parts
        self._before = before
        self._after = after

    def __missing__(self, character: str) -> int:
        ids = self._tokenizer.encode(character, add_special_tokens=False).ids
        self[character] = found = ids[0] if len(ids) == 1 else _SEVERAL
        return found

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

    def ids(self, texts: Sequence[str], max_length: int) -> list[list[int]] | None:
        """Ids of each text, cut to `max_length` with those before and after it.

        None where that would leave nothing of the texts, or where one of them holds something
        that is no single character to the tokenizer.
        """
        before, after, look_up = self._before, self._after, self.__getitem__
        room = max_length - len(before) - len(after)
        if room < 1 or any(part in text for part in self._parts for text in texts):
            return None
        found = [[*before, *map(look_up, text[:room]), *after] for text in texts]
        return None if any(_SEVERAL in row for row in found) else found


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
