"""A file of rows into columns, by its suffix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openautoglm.data.formats.columnar import read_parquet
from openautoglm.data.formats.delimited import read_delimited
from openautoglm.data.formats.records import read_json, read_json_lines
from openautoglm.data.formats.table import Table, recode
from openautoglm.errors import DataError

_SNIFFED = 1 << 16


def read_table(
    path: Path,
    name: str,
    wanted: Sequence[str],
    *,
    key: str | None = None,
    columns: Sequence[str] | None = None,
) -> Table:
    """Read the wanted columns of a CSV, TSV, JSONL, JSON or Parquet file, by its suffix.

    Args:
        path: The file.
        name: What messages call it.
        wanted: Column names.
        key: Column for the keys, when a JSON file is a mapping.
        columns: Names of all columns, when a CSV or TSV file has no header.

    Raises:
        DataError: The file is empty, of another format than its suffix says, or has no such column.
    """
    if not path.stat().st_size:
        raise DataError("the file is empty", where=name)
    if path.suffix == ".parquet":
        table = read_parquet(path, name, wanted)
    else:
        _refuse_binary(path, name)
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            if path.suffix == ".json":
                table = read_json(stream, name, wanted, key)
            elif path.suffix == ".jsonl":
                table = read_json_lines(stream, name, wanted)
            else:
                table = read_delimited(stream, name, wanted, columns, tabs=path.suffix != ".csv")
    if not len(table):
        raise DataError("the file has no rows", where=name)
    return table


def _refuse_binary(path: Path, name: str) -> None:
    with path.open("rb") as stream:
        start = stream.read(_SNIFFED)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the file is UTF-16", where=name, hint=recode("UTF-16"))
    if b"\0" in start:
        raise DataError("this is binary, not text", where=name, allowed="UTF-8 text")
