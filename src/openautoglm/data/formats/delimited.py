"""CSV and TSV, row by row, so that one bad row does not hide the others."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from openautoglm.data.formats.table import Table, place_of, recode
from openautoglm.errors import DataError


def read_delimited(
    stream: TextIO, name: str, wanted: Sequence[str], header: Sequence[str] | None, *, tabs: bool
) -> Table:
    """Read CSV (RFC 4180), or tab-separated text.

    Args:
        stream: Text, opened with `newline=""`.
        name: What messages call the file.
        wanted: Column names.
        header: Names of all columns, where the file has no header.
        tabs: Whether tabs separate the cells.

    Raises:
        DataError: A column is missing, the header is no UTF-8, or a quote is never closed.
    """
    # Tab-separated text knows no quotes (IANA): a headline may begin with one.
    reader = (
        csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        if tabs
        else csv.reader(stream, strict=True)
    )
    if header is None:
        header = _header(reader, name)
    places = [place_of(column, header, name) for column in wanted]
    width = len(header)
    table = Table(name, {column: [] for column in wanted}, [])
    assert table.lines is not None
    cells = list(table.columns.values())
    for row, start in _rows(reader, name):
        whole = len(row) == width and not isinstance(row, str)
        if not whole:
            table.broken[len(table.lines)] = row if isinstance(row, str) else ",".join(row)
        table.lines.append(start)
        for column, place in zip(cells, places, strict=True):
            column.append(row[place] if whole else None)
    return table


def _rows(reader: Any, name: str) -> Iterator[tuple[list[str] | str, int]]:
    """Each row with the line it starts on; a string instead of cells where quotes are misplaced."""
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            swallowed = reader.line_num > start and "expected after" not in str(error)
            if swallowed or "unexpected end" in str(error):
                raise DataError(
                    "a quote is opened and never closed",
                    where=f"{name}, line {start}",
                    hint='close it, or double it (`""`) where it belongs to the text',
                ) from None
            yield f"({error})", start
            continue
        if row:
            yield row, start


def _header(reader: Any, name: str) -> list[str]:
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"the header cannot be read: {error}", where=f"{name}, line 1") from None
    try:
        "".join(header).encode()
    except UnicodeEncodeError:
        raise DataError(
            "the header is not UTF-8", where=f"{name}, line 1", hint=recode("GB18030")
        ) from None
    return header
