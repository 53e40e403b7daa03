"""Predictions on test: of an evaluation, and as they are stored with a version."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import mlflow.artifacts
import pyarrow.parquet as pq
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from openautoglm.errors import InputError
from openautoglm.registry.packed import EVALUATION
from openautoglm.registry.store import Store


class Predictions(NamedTuple):
    """True and predicted label by row id."""

    label: dict[str, str]
    predicted: dict[str, str]


def read_predictions(file: Path) -> Predictions:
    """Read `predictions.parquet` of an evaluation."""
    table = pq.read_table(file, columns=["id", "label", "predicted"])
    ids, label, predicted = (table.column(name).to_pylist() for name in table.column_names)
    ids = [str(one) for one in ids]
    return Predictions(dict(zip(ids, label, strict=True)), dict(zip(ids, predicted, strict=True)))


def predictions_of(store: Store, version: ModelVersion) -> Predictions:
    """The predictions on test that are stored with a version.

    Raises:
        InputError: They cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        try:
            file = mlflow.artifacts.download_artifacts(
                artifact_uri=f"{version.source}/{EVALUATION}/predictions.parquet",
                dst_path=folder,
                tracking_uri=store.uri,
            )
            return read_predictions(Path(file))
        except (MlflowException, OSError, ValueError) as error:
            raise InputError(
                f"the predictions of version {version.version} cannot be read: "
                f"{str(error).splitlines()[0][:200]}",
                where=str(version.source),
                hint="openautoglm verify",
            ) from error
