"""The rows of all files together: classes that are large enough, and the five splits."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openautoglm.config.data import PrepareData
from openautoglm.data.rows import Reason, Rows
from openautoglm.data.splits import NAMES, assign
from openautoglm.errors import DataError


class Picked(NamedTuple):
    """The rows of one split: positions `int64[n]` in a file's rows, in the order of their ids."""

    rows: Rows
    places: NDArray[np.int64]


def divide(rows: Rows, test: Rows | None, settings: PrepareData) -> dict[str, Picked]:
    """Reject what the rows of all files together speak against, and split what is left.

    Args:
        rows: Checked and settled rows.
        test: Those of the fixed test file, if there is one: it is the test split, and no text
            of it stays in another.
        settings: Split shares and the smallest class.

    Raises:
        DataError: Fewer than two classes are left, or train, valid or test would be empty.
    """
    if test is not None:
        # Whatever its label is, a text of the test file must not be learnt from.
        rows.reject(np.isin(rows.ids, test.ids[test.has_input]), Reason.IN_TEST)
    sizes = Counter(rows.labels[rows.kept].tolist())
    small = {label for label, size in sizes.items() if size < settings.min_class_rows}
    split = assign(rows.ids, settings.splits, fixed_test=test is not None)
    rows.reject(_among(rows, small), Reason.SMALL)
    learnt = set(rows.labels[rows.kept & (split == NAMES.index("train"))].tolist())
    rows.reject(~_among(rows, learnt), Reason.NO_TRAIN)
    if test is not None:
        test.reject(_among(test, small), Reason.SMALL)
        test.reject(~_among(test, learnt), Reason.NO_TRAIN)
    if len(learnt) < 2:
        raise _too_few_classes(rows, sizes, settings)
    picked = {name: _pick(rows, split == place) for place, name in enumerate(NAMES)}
    if test is not None:
        picked["test"] = _pick(test, test.kept)
    for name in ("train", "valid", "test"):
        if not len(picked[name].places):
            raise _empty(name, rows, test, settings)
    return picked


def _among(rows: Rows, labels: set[str]) -> NDArray[np.bool_]:
    return np.fromiter((label in labels for label in rows.labels), np.bool_, len(rows.labels))


def _pick(rows: Rows, mask: NDArray[np.bool_]) -> Picked:
    places = np.flatnonzero(mask & rows.kept)
    # By id: the order of the source leaves no trace.
    return Picked(rows, places[np.argsort(rows.ids[places])])


def _too_few_classes(rows: Rows, sizes: Counter[str], settings: PrepareData) -> DataError:
    largest = ", ".join(f"`{label}` {size}" for label, size in sizes.most_common(5)) or "none"
    rejected = ", ".join(f"{count} {reason}" for reason, count in rows.counts().items())
    return DataError(
        "there is one class only" if len(sizes) == 1 else "fewer than two classes are left",
        where=f"{rows.table.name}; classes and usable rows: {largest}; "
        f"rejected: {rejected or 'none'}",
        allowed=f"at least 2 classes of at least {settings.min_class_rows} rows",
        hint="check data.label, data.label_pattern and data.min_class_rows in params.yaml",
    )


def _empty(name: str, rows: Rows, test: Rows | None, settings: PrepareData) -> DataError:
    if name == "test" and test is not None:
        counts = ", ".join(f"{count} {reason}" for reason, count in test.counts().items())
        return DataError(
            "no row of the test file can be used", where=f"{test.table.name}: {counts}"
        )
    share = getattr(settings.splits, name)
    return DataError(
        f"no row fell into {name}",
        where=f"{rows.table.name}: {int(rows.kept.sum())} usable rows, share {share:g}",
        hint="more rows, or a larger share: params.yaml, key data.splits"
        + ("; or a fixed test file: data.test" if name == "test" else ""),
    )
