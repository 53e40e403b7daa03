"""Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from openautoglm.data.formats.table import Cell, Table, place_of
from openautoglm.errors import DataError


def read_parquet(path: Path, name: str, wanted: Sequence[str]) -> Table:
    """Read the wanted columns of a Parquet file.

    Raises:
        DataError: It is none, or a column is missing.
    """
    try:
        header = pq.read_schema(path).names
        for column in wanted:
            place_of(column, header, name)
        table = pq.read_table(path, columns=list(wanted))
    except pa.ArrowException as error:
        raise DataError(f"this is no Parquet: {error}", where=name) from None
    return Table(name, {column: _cells(table.column(column)) for column in wanted}, None)


def _cells(column: pa.ChunkedArray) -> list[Cell]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        # Parquet does not promise that its strings are UTF-8; bytes can be looked at one by one.
        column = column.cast(pa.large_binary())
    if not pa.types.is_large_binary(column.type) and not pa.types.is_binary(column.type):
        found: list[Cell] = column.to_pylist()
        return found
    return [
        None if raw is None else raw.decode("utf-8", "surrogateescape")
        for raw in column.to_pylist()
    ]
