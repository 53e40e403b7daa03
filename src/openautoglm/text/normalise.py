"""One spelling of a text, in prepare, in training and in front of every served model."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """NFKC (full-width forms become plain ones), and each run of white space one space.

    Control and format characters other than white space are dropped: they are invisible, so two
    texts that differ only in them are the same text to a reader. Idempotent.
    """
    # Printable means: none of the characters that are dropped, no white space but the blank.
    # Most texts are spelled right already, and a replica meets thousands a second.
    if text.isprintable() and unicodedata.is_normalized("NFKC", text):
        return " ".join(text.split())
    visible = "".join(
        " " if char.isspace() else char
        for char in unicodedata.normalize("NFKC", text)
        if char.isspace() or unicodedata.category(char) not in ("Cc", "Cf", "Cs")
    )
    # Removing a joiner can bring two characters together that compose.
    return " ".join(unicodedata.normalize("NFKC", visible).split())
