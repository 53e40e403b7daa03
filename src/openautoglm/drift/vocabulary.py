"""What the model saw in training: the characters and bigrams of train."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """Characters and bigrams of a set of texts.

    Attributes:
        characters: Every character that occurs.
        bigrams: Every two characters that stand side by side in a text.
    """

    characters: frozenset[str]
    bigrams: frozenset[str]

    def unseen_characters(self, text: str) -> float:
        """Share of the text's characters that are not in the vocabulary; 0 for no text."""
        return sum(char not in self.characters for char in text) / max(1, len(text))

    def unseen_bigrams(self, text: str) -> float:
        """The same of its bigrams; 0 for a text of one character, which has none."""
        found = bigrams(text)
        return sum(pair not in self.bigrams for pair in found) / max(1, len(found))


def vocabulary_of(texts: Iterable[str]) -> Vocabulary:
    """The vocabulary of texts, each normalised as prepare does."""
    characters: set[str] = set()
    pairs: set[str] = set()
    for text in texts:
        characters.update(text)
        pairs.update(bigrams(text))
    return Vocabulary(frozenset(characters), frozenset(pairs))


def bigrams(text: str) -> list[str]:
    """Each two characters that stand side by side."""
    return [text[start : start + 2] for start in range(len(text) - 1)]
