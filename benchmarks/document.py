"""The part of a document that a program owns; everything around it is written by hand."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from openautoglm.artifacts.folder import write_text
from openautoglm.observability.machine import machine

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def replaced(document: str, section: str, text: str) -> str:
    """The document with another text between the two marks of a section.

    Raises:
        ValueError: The document does not hold both marks, in order, once each.
    """
    begin, end = f"<!-- {section}: begin -->\n", f"<!-- {section}: end -->"
    head, found_begin, rest = document.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end) or begin in rest or end in tail:
        raise ValueError(f"the document needs `{begin.strip()}` and then `{end}`, once each")
    return f"{head}{begin}\n{text.strip()}\n\n{end}{tail}"


def write_section(section: str, text: str) -> None:
    """Put a text into its section of `docs/benchmarks.md`."""
    document = DOCUMENT.read_text(encoding="utf-8")
    write_text(DOCUMENT, replaced(document, section, text))
    print(f"\nwritten to {DOCUMENT.relative_to(ROOT)}")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that can be read in a terminal too: first column left, others right."""
    cells = [list(header), *([*row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        f"| {' | '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])} |"
        for row in (cells[0], rule, *cells[1:])
    )


def described() -> str:
    """The machine as this process may use it, and who else is at work on it."""
    here = machine()
    return (
        f"{here.cores:g} cores of {here.cpu}, {here.memory / 1e9:.0f} GB, {here.system}, "
        f"Python {platform.python_version()}; load {os.getloadavg()[0]:.1f} when it began."
    )
