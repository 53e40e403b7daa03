"""JSON and JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, TextIO

from openautoglm.data.formats.table import Cell, Table, no_column
from openautoglm.errors import DataError


def read_json_lines(stream: TextIO, name: str, wanted: Sequence[str]) -> Table:
    """Read one object a line; a line that is none is a broken row.

    Raises:
        DataError: No object has a wanted column.
    """
    return _records(name, wanted, _json_lines(stream), numbered=True)


def read_json(stream: TextIO, name: str, wanted: Sequence[str], key: str | None) -> Table:
    """Read a list of objects, or an object of objects whose keys become the column `key`.

    Raises:
        DataError: The file is no JSON or of another shape, or no object has a wanted column.
    """
    return _records(name, wanted, _json(stream, name, key), numbered=False)


def _json_lines(stream: TextIO) -> Iterator[tuple[Any, int]]:
    for number, line in enumerate(stream, 1):
        if not line.isspace():
            try:
                yield json.loads(line), number
            except (ValueError, RecursionError):
                yield line.strip(), number


def _json(stream: TextIO, name: str, key: str | None) -> Iterable[tuple[Any, int]]:
    try:
        whole = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise DataError(f"this is no JSON: {error}", where=name) from None
    if isinstance(whole, dict):
        if key is not None:
            whole = [
                {**row, key: name} if isinstance(row, dict) else row for name, row in whole.items()
            ]
        else:
            whole = list(whole.values())
    if not isinstance(whole, list):
        raise DataError(
            f"found {type(whole).__name__}",
            where=name,
            allowed="a list of objects, or an object of objects",
        )
    return zip(whole, repeat(0))


def _records(
    name: str, wanted: Sequence[str], rows: Iterable[tuple[Any, int]], *, numbered: bool
) -> Table:
    lines: list[int] = []
    cells: dict[str, list[Cell]] = {column: [] for column in wanted}
    broken: dict[int, str] = {}
    keys: dict[str, None] = {}
    for row, line in rows:
        if not isinstance(row, dict):
            broken[len(lines)] = str(row)
            row = {}
        elif len(keys) < len(row) or not row.keys() <= keys.keys():
            keys.update(dict.fromkeys(row))
        lines.append(line)
        for column in wanted:
            cells[column].append(row.get(column))
    # Where no line is an object, that is what has to be said, not that a column is missing.
    for column in wanted if keys else ():
        if column not in keys:
            raise no_column(column, list(keys), name)
    return Table(name, cells, lines if numbered else None, broken)
