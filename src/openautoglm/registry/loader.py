"""The registered model as MLflow loads it. Travels inside the model: imports nothing of MLflow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from openautoglm.errors import DataError
from openautoglm.inference.model import Model, Rows, load
from openautoglm.inference.package import NumericInput

LABEL = "label"


class LoadedModel:
    """A model with the `predict` that MLflow calls."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, rows: Any) -> pd.DataFrame:
        """Predict.

        Args:
            rows: n texts (list, Series, or data frame of one column or with a column `text`), or
                n rows of features (array, lists, or data frame with columns of their names).

        Returns:
            n rows: `label`, then a column `p_<class>` of probabilities for each class.

        Raises:
            DataError: The rows are not what this model takes.
        """
        index = rows.index if isinstance(rows, pd.DataFrame | pd.Series) else None
        numeric = isinstance(self.model.input, NumericInput)
        proba = self.model.predict_proba(self._features(rows) if numeric else _texts(rows))
        names = np.asarray(self.model.labels, dtype=object)
        found = pd.DataFrame(
            proba, columns=[f"p_{label}" for label in self.model.labels], index=index
        )
        # Without rows argmax has nothing to do, and an array of objects stays one.
        found.insert(0, LABEL, names[proba.argmax(1)])
        return found

    def _features(self, rows: Any) -> Rows:
        assert isinstance(self.model.input, NumericInput)
        wanted = list(self.model.input.features)
        if isinstance(rows, pd.DataFrame) and not isinstance(rows.columns, pd.RangeIndex):
            missing = [name for name in wanted if name not in rows.columns]
            # MLflow hands unnamed columns on as a plain index of numbers.
            if missing and any(isinstance(name, str) for name in rows.columns):
                raise DataError(
                    f"features are missing: {', '.join(missing)}", allowed=", ".join(wanted)
                )
            rows = rows if missing else rows[wanted]
        try:
            return np.asarray(rows, np.float32)
        except (TypeError, ValueError):
            raise DataError("this model takes numbers", allowed=", ".join(wanted)) from None


def _texts(rows: Any) -> Sequence[str]:
    if isinstance(rows, str):
        return [rows]
    if isinstance(rows, pd.DataFrame):
        if rows.shape[1] > 1 and "text" not in rows.columns:
            raise DataError(
                f"found {rows.shape[1]} columns", allowed="one column, or a column `text`"
            )
        rows = rows["text"] if "text" in rows.columns else rows.iloc[:, 0]
    return list(rows)


def _load_pyfunc(path: str) -> LoadedModel:
    """What MLflow calls with the model's data folder."""
    return LoadedModel(load(Path(path), threads=os.cpu_count() or 1))
