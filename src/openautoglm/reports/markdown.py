"""Text and tables in Markdown, whatever people have typed into them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SIGNS = "|<`*"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; no cell ends its row."""
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(plain, line))} |" for line in lines)


def plain(text: str) -> str:
    """A text on one line, without what Markdown would read as its own."""
    found = " ".join(text.split()).replace("\\", "\\\\")
    for sign in _SIGNS:
        found = found.replace(sign, f"\\{sign}")
    return found
