"""Evidently's report of a comparison: our effects, thresholds and verdicts, its plots."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from openautoglm.drift.columns import Columns
from openautoglm.drift.compare import (
    CATEGORICAL,
    NUMERIC,
    ColumnVerdict,
    Verdict,
    WindowVerdict,
)
from openautoglm.observability.collector import importing

if TYPE_CHECKING:
    from evidently import Dataset

_METHODS = {NUMERIC: "openautoglm_ks", CATEGORICAL: "openautoglm_cramers_v"}


def write_report(
    folder: Path, name: str, reference: Columns, window: Columns, found: WindowVerdict
) -> list[Path]:
    """Write `<name>.html` and `<name>.json` of the columns that both sides have rows of.

    They hold ids that differ each time, so they belong beside a payload and not in it.

    Returns:
        The two paths; none where there is no such column.
    """
    page, data = folder / f"{name}.html", folder / f"{name}.json"
    shown = [column for column in found.columns if column.effect is not None]
    if not shown:
        return []
    # Nothing is sent anywhere: Evidently's telemetry asks for this.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations in what it imports
        with importing():
            from evidently import Report

        _register({column.column: column for column in shown})
        snapshot = Report([_metric(column) for column in shown], include_tests=True).run(
            _dataset(window, shown), _dataset(reference, shown), name=name
        )
        snapshot.save_html(str(page))
        snapshot.save_json(str(data))
    return [page, data]


def _register(verdicts: dict[str, ColumnVerdict]) -> None:
    """Give Evidently our effects as methods of its own; it asks for a column by its name."""
    from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def judge(
        reference: pd.Series[Any], current: pd.Series[Any], kind: object, threshold: float
    ) -> tuple[float, bool]:
        column = verdicts[str(current.name)]
        return column.effect or 0.0, column.verdict is Verdict.DRIFT

    kinds = {NUMERIC: ColumnType.Numerical, CATEGORICAL: ColumnType.Categorical}
    for measure, method in _METHODS.items():
        test = StatTest(name=method, display_name=measure, allowed_feature_types=[kinds[measure]])
        # A function of its own for each: Evidently knows methods by their function too.
        register_stattest(test, lambda *given: judge(*given))


def _metric(column: ColumnVerdict) -> Any:
    from evidently.metrics import ValueDrift

    return ValueDrift(
        column=column.column, method=_METHODS[column.measure], threshold=column.threshold
    )


def _dataset(columns: Columns, shown: list[ColumnVerdict]) -> Dataset:
    from evidently import DataDefinition, Dataset

    names = {
        measure: [column.column for column in shown if column.measure == measure]
        for measure in _METHODS
    }
    frame = pd.DataFrame({c.column: pd.Series(columns[c.column]) for c in shown})
    return Dataset.from_pandas(
        frame,
        DataDefinition(numerical_columns=names[NUMERIC], categorical_columns=names[CATEGORICAL]),
    )
