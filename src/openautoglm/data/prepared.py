"""What prepare wrote, as every later step reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.errors import ArtifactError

Inputs = Sequence[str] | NDArray[np.float64]
SCHEMA = "schema.json"
REJECTED = "rejected.csv"
"""Beside the payload: it names rows by number, and no digest may depend on the rows' order."""


@dataclass(frozen=True)
class Split:
    """The rows of one split, sorted by id.

    Attributes:
        ids: 16 hex digits each, the same for the same input in any data set.
        inputs: Normalised texts, or features `float64[n, d]`.
        y: Classes `int64[n]`, positions in `Prepared.labels`.
    """

    ids: list[str]
    inputs: Inputs
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Prepared:
    """A folder that prepare wrote.

    Attributes:
        labels: Class names, sorted.
        features: Names of the numeric columns; None for texts.
        rows: Split name to its number of rows.
        classes: Class name to its number of rows, over all splits.
        found: Rows in the source's files.
        rejected: Reason to rows; `found` is these and `rows` together.
        folder: Where the splits are read from.
    """

    labels: tuple[str, ...]
    features: tuple[str, ...] | None
    rows: dict[str, int]
    classes: dict[str, int]
    found: int
    rejected: dict[str, int]
    folder: Path

    def split(self, name: str) -> Split:
        """Read one split: train, valid, test, replay or reference.

        Raises:
            ArtifactError: There is no such split, or its file cannot be read.
        """
        path = self.folder / PAYLOAD / f"{name}.parquet"
        try:
            table = pq.read_table(path)
            y = pc.index_in(table["label"], pa.array(self.labels, pa.string())).to_numpy()
            inputs: Inputs
            if self.features is None:
                inputs = table["text"].to_pylist()
            else:
                inputs = np.empty((len(table), len(self.features)))
                for place, feature in enumerate(self.features):
                    inputs[:, place] = table[feature].to_numpy()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ArtifactError(
                f"the split cannot be read: {error}",
                where=str(path),
                allowed=", ".join(self.rows),
                hint="dvc repro prepare",
            ) from None
        return Split(table["id"].to_pylist(), inputs, y.astype(np.int64))


def read(folder: Path) -> Prepared:
    """Open the output of prepare; splits are read when they are asked for.

    Raises:
        ArtifactError: It is no such folder.
    """
    path = folder / PAYLOAD / SCHEMA
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        features = schema["features"]
        return Prepared(
            labels=tuple(schema["labels"]),
            features=None if features is None else tuple(features),
            rows=schema["rows"],
            classes=schema["classes"],
            found=schema["found"],
            rejected=schema["rejected"],
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"this is not what prepare writes: {error}", where=str(path), hint="dvc repro prepare"
        ) from None
