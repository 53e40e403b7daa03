"""What every format is read into, and the errors that all formats share."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openautoglm.errors import DataError

Cell = Any
"""What a format has: `str` in CSV, any JSON value, any Arrow scalar; None where there is none."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""What a byte that is no UTF-8 becomes in a cell (PEP 383)."""


@dataclass
class Table:
    """The wanted columns of one file.

    Bytes that are no UTF-8 stand in the cells as lone surrogates (PEP 383), so that one bad row
    does not hide the others.

    Attributes:
        name: What messages call the file.
        columns: Column name to its cells, one a row.
        lines: Line of the file on which each row starts; None where lines mean nothing.
        broken: Row (from 0) to what it looks like, for rows that are no rows of this format.
    """

    name: str
    columns: dict[str, list[Cell]]
    lines: list[int] | None
    broken: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def place_of(column: str, header: Sequence[str], name: str) -> int:
    """Where a column stands in the header.

    Raises:
        DataError: It is not there, or more than once.
    """
    if header.count(column) > 1:
        raise DataError(f"there are {header.count(column)} columns `{column}`", where=name)
    if column not in header:
        raise no_column(column, header, name)
    return header.index(column)


def no_column(column: str, header: Sequence[str], name: str) -> DataError:
    """The error that names the columns found, and the nearest."""
    near = difflib.get_close_matches(column, header, n=1, cutoff=0.5)
    shown = ", ".join(f"`{other[:40]}`" for other in header[:20]) or "none"
    hint = f"did you mean `{near[0]}`? " if near else ""
    return DataError(
        f"there is no column `{column}`",
        where=name,
        allowed=f"one of the columns found: {shown}",
        hint=f"{hint}Columns are named in params.yaml: data.text, data.features, data.label",
    )


def recode(encoding: str) -> str:
    """The command that makes UTF-8 of a file."""
    return f"iconv -f {encoding} -t UTF-8 FILE > NEW, and name the new file"
