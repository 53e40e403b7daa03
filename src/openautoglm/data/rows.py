"""The rows of a file, each kept or rejected for a reason, and how rejections are told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from openautoglm.config.data import PrepareData
from openautoglm.data.formats.table import SURROGATE, Table
from openautoglm.data.splits import Ids
from openautoglm.errors import DataError


class Reason(StrEnum):
    """Why a row is left out; of several, the first in this order."""

    BROKEN = "malformed row"
    UNDECODABLE = "undecodable bytes"
    EMPTY = "empty text"
    LONG = "over-long text"
    NO_FEATURE = "missing feature"
    NO_NUMBER = "feature is not a number"
    INFINITE = "infinite feature"
    NO_LABEL = "missing label"
    UNKNOWN = "unknown label"
    AMBIGUOUS = "one text under two labels"
    DUPLICATE = "duplicate"
    IN_TEST = "also in the test file"
    SMALL = "class smaller than min_class_rows"
    NO_TRAIN = "class without a row in train"


REASONS = tuple(Reason)
KEPT = -1
BAD = REASONS[: REASONS.index(Reason.UNKNOWN) + 1]
"""Faults of the row itself, which count towards `max_bad_share`. The others do not: a good file
may hold a text twice (of the built-in headings, a fifth is such)."""
_EXCERPT = 80


@dataclass
class Rows:
    """The rows of one file, and the fate of each.

    Attributes:
        table: The cells as found.
        inputs: Normalised texts, or features `float64[n, d]`.
        labels: Label of each row, "" where it has none.
        ids: `uint64[n]`; without meaning where the input is none.
        reason: Position in `REASONS`, or `KEPT`.
    """

    table: Table
    inputs: list[str] | NDArray[np.float64]
    labels: NDArray[np.object_]
    ids: Ids
    reason: NDArray[np.int8]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Mask of the rows that nothing is held against so far."""
        found: NDArray[np.bool_] = self.reason == KEPT
        return found

    @property
    def has_input(self) -> NDArray[np.bool_]:
        """Mask of the rows whose text or features can be used, whatever else is wrong."""
        found: NDArray[np.bool_] = self.kept | (self.reason >= REASONS.index(Reason.NO_LABEL))
        return found

    def reject(self, mask: NDArray[np.bool_], reason: Reason) -> None:
        """Reject rows, unless they already are."""
        self.reason[mask & self.kept] = REASONS.index(reason)

    def counts(self) -> Counter[Reason]:
        """Rows by reason, without reasons that no row has; in the order of `Reason`."""
        found = np.bincount(self.reason[~self.kept], minlength=len(REASONS)).tolist()
        return Counter({reason: n for reason, n in zip(REASONS, found, strict=True) if n})


def refuse_bad_share(rows: Rows, settings: PrepareData) -> None:
    """Stop where too many rows are at fault themselves.

    Raises:
        DataError: The share of rows with a reason in `BAD` is above `max_bad_share`.
    """
    counts = {reason: n for reason, n in rows.counts().items() if reason in BAD}
    bad, n = sum(counts.values()), len(rows.table)
    if bad <= settings.max_bad_share * n:
        return
    worst = max(counts, key=lambda reason: counts[reason])
    first = np.flatnonzero(~rows.kept)[:5].tolist()
    raise DataError(
        f"{bad} of {n} rows ({100 * bad / n:.1f} %) cannot be used: "
        + ", ".join(f"{count} {reason}" for reason, count in counts.items()),
        where="\n           ".join(
            f"{place(rows.table, row)}: {REASONS[rows.reason[row]]}: {excerpt(rows, row, settings)}"
            for row in first
        ),
        allowed=f"{100 * settings.max_bad_share:g} % (params.yaml, key data.max_bad_share)",
        hint=_NEXT.get(worst, "mend these rows"),
    )


_NEXT = {
    Reason.UNDECODABLE: "iconv -f GB18030 -t UTF-8 FILE > NEW, if GB18030 is what the file is in",
    Reason.UNKNOWN: "complete data.labels, or mend data.label_pattern",
    Reason.LONG: "raise data.max_chars",
    Reason.EMPTY: "is data.text the right column?",
    Reason.NO_LABEL: "is data.label the right column?",
}


def settle(rows: Rows) -> None:
    """Reject each text that stands under two labels, and all but the first of its repetitions."""
    kept = np.flatnonzero(rows.kept)
    _, first, group = np.unique(rows.ids[kept], return_index=True, return_inverse=True)
    different = rows.labels[kept] != rows.labels[kept][first][group]
    ambiguous = np.zeros(len(first), np.bool_)
    ambiguous[group[different]] = True
    mask = np.zeros(len(rows.reason), np.bool_)
    mask[kept[ambiguous[group]]] = True
    rows.reject(mask, Reason.AMBIGUOUS)
    mask[kept] = True
    mask[kept[first]] = False
    rows.reject(mask, Reason.DUPLICATE)


def place(table: Table, row: int) -> str:
    """A row as a person finds it: `a.csv, row 3 (line 5)`."""
    line = "" if table.lines is None else f" (line {table.lines[row]})"
    return f"{table.name}, row {row + 1}{line}"


def excerpt(rows: Rows, row: int, settings: PrepareData) -> str:
    """What is wrong with a row, on one line of at most 80 characters."""
    cells = {name: column[row] for name, column in rows.table.columns.items()}
    reason = REASONS[rows.reason[row]]
    if reason is Reason.BROKEN:
        text = rows.table.broken[row]
    elif reason in (Reason.NO_LABEL, Reason.UNKNOWN):
        text = " | ".join(str(cells[name]) for name in (settings.label, *_inputs(settings)))
    elif settings.features is not None:
        text = ", ".join(f"{name}={cells[name]}" for name in settings.features)
    else:
        text = " | ".join(str(cells[name]) for name in (*_inputs(settings), settings.label))
    text = SURROGATE.sub(_escape, " ".join(text[: 4 * _EXCERPT].split()))
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 3] + "..."


def _inputs(settings: PrepareData) -> tuple[str, ...]:
    return settings.features or (settings.text or "",)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def rejections(rows: Rows, settings: PrepareData) -> Iterator[tuple[str, int, int | str, str, str]]:
    """File, row (from 1), line (or ""), reason and excerpt of each rejected row, in file order."""
    for row in np.flatnonzero(~rows.kept).tolist():
        line = "" if rows.table.lines is None else rows.table.lines[row]
        reason = REASONS[rows.reason[row]].value
        yield rows.table.name, row + 1, line, reason, excerpt(rows, row, settings)
