"""Look at each row by itself: its bytes, its input, its label."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from openautoglm.config.data import PrepareData
from openautoglm.data.formats.table import SURROGATE, Cell, Table
from openautoglm.data.rows import KEPT, REASONS, Reason, Rows
from openautoglm.data.splits import feature_ids, text_ids
from openautoglm.text.normalise import normalise


def check(table: Table, settings: PrepareData) -> Rows:
    """Look at each row by itself: its bytes, its input, its label."""
    n = len(table)
    reason = np.full(n, KEPT, np.int8)
    rows = Rows(table, [], np.full(n, "", object), np.zeros(n, np.uint64), reason)
    reason[list(table.broken)] = REASONS.index(Reason.BROKEN)
    if settings.text is not None:
        texts = [as_text(cell) for cell in table.columns[settings.text]]
        rows.reject(_undecodable(texts), Reason.UNDECODABLE)
        rows.inputs = [normalise(text) for text in texts]
        rows.ids = text_ids(rows.inputs)
        lengths = np.fromiter(map(len, rows.inputs), np.int64, n)
    else:
        assert settings.features is not None
        values, faults = _features([table.columns[name] for name in settings.features])
        rows.inputs, rows.ids = values, feature_ids(values)
    labels = [as_text(cell) for cell in table.columns[settings.label]]
    rows.reject(_undecodable(labels), Reason.UNDECODABLE)
    if settings.text is not None:
        rows.reject(lengths == 0, Reason.EMPTY)
        rows.reject(lengths > settings.max_chars, Reason.LONG)
    else:
        for fault, mask in faults.items():
            rows.reject(mask, fault)
    _label(rows, labels, settings)
    return rows


def as_text(cell: Cell) -> str:
    """A cell as text; nothing, NaN and nested values are empty, and 3.0 is 3 as it is in CSV."""
    if isinstance(cell, str):
        return cell
    if cell is None or isinstance(cell, list | dict):
        return ""
    if isinstance(cell, float):
        if math.isnan(cell):
            return ""
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return str(cell)


def _undecodable(texts: list[str]) -> NDArray[np.bool_]:
    search = SURROGATE.search
    return np.fromiter((search(text) is not None for text in texts), np.bool_, len(texts))


def _features(
    columns: list[list[Cell]],
) -> tuple[NDArray[np.float64], dict[Reason, NDArray[np.bool_]]]:
    values = np.zeros((len(columns[0]), len(columns)))
    faults = {
        reason: np.zeros(len(values), np.bool_)
        for reason in (Reason.NO_FEATURE, Reason.NO_NUMBER, Reason.INFINITE)
    }
    for place, column in enumerate(columns):
        try:
            values[:, place] = np.fromiter(map(float, column), np.float64, len(column))
            if np.isfinite(values[:, place]).all():
                continue
        except (TypeError, ValueError, OverflowError):
            pass
        # Some cell is at fault: one by one.
        for row, cell in enumerate(column):
            number = _number(cell)
            if isinstance(number, float):
                values[row, place] = number
            else:
                values[row, place] = 0
                faults[number][row] = True
    return values, faults


def _number(cell: Cell) -> float | Reason:
    try:
        number = float(cell)
    except OverflowError:
        return Reason.INFINITE
    except (TypeError, ValueError):
        return Reason.NO_NUMBER if as_text(cell).strip() else Reason.NO_FEATURE
    if math.isfinite(number):
        return number
    return Reason.NO_FEATURE if math.isnan(number) else Reason.INFINITE


def _label(rows: Rows, found: list[str], settings: PrepareData) -> None:
    names = settings.labels and {normalise(old): new for old, new in settings.labels.items()}
    meaning = {text: _meaning(text, settings.label_pattern, names) for text in set(found)}
    meant = [meaning[text] for text in found]
    for reason in (Reason.NO_LABEL, Reason.UNKNOWN):
        mask = np.fromiter((label is reason for label in meant), np.bool_, len(meant))
        rows.reject(mask, reason)
    rows.labels = np.array(["" if isinstance(m, Reason) else m for m in meant], object)


def _meaning(text: str, pattern: str | None, names: dict[str, str] | None) -> str | Reason:
    label = normalise(text)
    if not label:
        return Reason.NO_LABEL
    if pattern is not None:
        match = re.search(pattern, label)
        if match is None or not match[0]:
            return Reason.UNKNOWN
        label = match[0]
    if names is not None:
        return names.get(label, Reason.UNKNOWN)
    return label
