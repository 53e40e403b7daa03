"""Rows as a window: the project's columns and spelling, with or without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openautoglm.artifacts.digest import PREFIX, file_sha256
from openautoglm.config.data import DataParams, PrepareData
from openautoglm.data.checks import check
from openautoglm.data.formats.table import Table
from openautoglm.data.raw import suffix_of
from openautoglm.data.rows import REASONS, Reason, Rows
from openautoglm.data.tables import read_table
from openautoglm.drift.window import Window
from openautoglm.errors import DataError

UNKNOWN = "(unknown)"
"""The class of every label that the model has no class for."""
_SHOWN_LABELS = 5


@dataclass(frozen=True)
class Read:
    """A window, and what of its file did not make it there.

    Attributes:
        window: The rows that can be used, repetitions included.
        found: Rows in the file.
        rejected: Reason to rows, of those that cannot be used.
        notes: What else a reader of the verdict must know, one sentence each.
    """

    window: Window
    found: int
    rejected: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where a window comes from.

    Attributes:
        name: What its result is called.
        stem: The same for a folder.
        read: Reads it, for the project's columns and the model's classes.
        digest: Names what it holds.
    """

    name: str
    stem: str
    read: Callable[[DataParams, tuple[str, ...]], Read]
    digest: Callable[[], str]


def file_source(path: Path, *, text: str | None = None, label: str | None = None) -> Source:
    """A file of rows as a window.

    Args:
        path: The file.
        text: Its text column, where it is not the project's.
        label: Its label column, where it is not the project's.
    """

    def read(data: DataParams, labels: tuple[str, ...]) -> Read:
        return read_window(path, data, labels, text=text, label=label)

    return Source(path.name, path.stem, read, lambda: PREFIX + file_sha256(path))


def read_window(
    path: Path, data: DataParams, labels: tuple[str, ...], *, text: str | None, label: str | None
) -> Read:
    """Read a file as prepare does.

    Args:
        path: A file of any format that prepare reads.
        data: The project's own columns and rules.
        labels: The classes of the model.
        text: The text column, where it is not the project's.
        label: The label column, where it is not the project's; the project's may be missing.

    Raises:
        InputError: There is no such file, it is of no format we read, or a column is missing.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="name a file that is there")
    if text is not None and data.features is not None:
        raise DataError("this project has numeric features and no text", where="--text")
    columns = {"text": text or data.text, "label": label or data.label}
    settings = PrepareData.model_validate(
        {k: v for k, v in data.model_dump().items() if k in PrepareData.model_fields} | columns
    )
    table, unlabelled = _table(path, data, settings, named=label is not None)
    return judged_rows(table, settings, labels, unlabelled=unlabelled)


def judged_rows(
    table: Table, settings: PrepareData, labels: tuple[str, ...], *, unlabelled: str | None
) -> Read:
    """The rows of a table that can be used.

    Args:
        table: Inputs, and a label column.
        settings: Which columns are what, and which rows count.
        labels: The classes of the model.
        unlabelled: Why there are no labels, if there are none.
    """
    rows = check(table, settings)
    names, notes = _labels(rows, labels)
    if unlabelled is not None:
        notes = [f"class shares were not compared: {unlabelled}"]
    elif names is None:
        notes = ["class shares were not compared: no row has a label"]
    kept = np.flatnonzero(rows.has_input)
    window = Window(rows.inputs, names).take(kept)
    # Labels come last among the reasons, and a row without one can still be compared.
    last = REASONS.index(Reason.NO_LABEL)
    rejected = {r.value: n for r, n in rows.counts().items() if REASONS.index(r) < last}
    return Read(window, len(table), rejected, tuple(notes))


def _table(
    path: Path, data: DataParams, settings: PrepareData, *, named: bool
) -> tuple[Table, str | None]:
    """The table, and why it has no labels."""
    suffix = suffix_of(path.name)
    # A source without a header, or one that is a mapping, has windows of the same kind.
    header = getattr(data.source, "columns", None) if suffix in (".csv", ".tsv", ".txt") else None
    key = getattr(data.source, "key", None)
    inputs = settings.features or (str(settings.text),)

    def read(*wanted: str) -> Table:
        return read_table(path, path.name, wanted, key=key, columns=header)

    table = read(*inputs)
    try:
        return read(*inputs, settings.label), None
    except DataError as error:
        if named:
            raise
        table.columns[settings.label] = [None] * len(table)
        return table, error.what


def _labels(rows: Rows, known: tuple[str, ...]) -> tuple[list[str | None] | None, list[str]]:
    """Each row's class, and a note on labels that are none of the known classes."""
    found: list[str | None] = []
    strange: Counter[str] = Counter()
    for name, reason in zip(rows.labels.tolist(), rows.reason.tolist(), strict=True):
        if name in known:
            found.append(name)
        elif name or (reason >= 0 and REASONS[reason] is Reason.UNKNOWN):
            found.append(UNKNOWN)
            strange[name or "no match"] += 1
        else:
            found.append(None)
    if all(name is None for name in found):
        return None, []
    if not strange:
        return found, []
    shown = ", ".join(f"{name} {n}" for name, n in strange.most_common(_SHOWN_LABELS))
    more = ", ..." if len(strange) > _SHOWN_LABELS else ""
    note = f"{strange.total()} rows have a label the model has no class for, counted as one class"
    return found, [f"{note}: {shown}{more}"]
