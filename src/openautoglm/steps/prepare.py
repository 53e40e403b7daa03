"""prepare: which rows count, what the others are rejected for, and the five splits."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.data import PrepareData
from openautoglm.config.params import PrepareParams
from openautoglm.data.checks import check
from openautoglm.data.divide import Picked, divide
from openautoglm.data.prepared import REJECTED, SCHEMA
from openautoglm.data.raw import Raw, RawFile, read_raw
from openautoglm.data.rows import Reason, Rows, refuse_bad_share, rejections, settle
from openautoglm.data.splits import id_names
from openautoglm.data.tables import read_table
from openautoglm.observability.progress import say
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime


@pure
def prepare(*, raw: Path, params: PrepareParams, runtime: Runtime, out: Path) -> None:
    """Write one `payload/*.parquet` a split, `payload/schema.json`, and `rejected.csv` beside.

    Raises:
        DataError: A file is empty, binary or of another format; a column is missing; too many
            rows cannot be used; or fewer than two classes, or an empty split, would be left.
    """
    settings, payload = params.data, raw / PAYLOAD
    source = read_raw(payload)
    rows = _rows(source, source.rows, payload, settings)
    test = None if source.test is None else _rows(source, source.test, payload, settings)
    picked = divide(rows, test, settings)
    for name, split in picked.items():
        pq.write_table(_table(split, settings), out / PAYLOAD / f"{name}.parquet")
    files = [rows] if test is None else [rows, test]
    schema = _schema(files, picked, settings)
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    (out / PAYLOAD / SCHEMA).write_text(text + "\n", encoding="utf-8")
    with (out / REJECTED).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "row", "line", "reason", "excerpt"))
        writer.writerows(chain.from_iterable(rejections(one, settings) for one in files))
    _tell(schema)


def _rows(source: Raw, file: RawFile, payload: Path, settings: PrepareData) -> Rows:
    wanted = (*(settings.features or (str(settings.text),)), settings.label)
    table = read_table(
        payload / file.file, file.name, wanted, key=source.key, columns=source.columns
    )
    rows = check(table, settings)
    refuse_bad_share(rows, settings)
    settle(rows)
    return rows


def _table(split: Picked, settings: PrepareData) -> pa.Table:
    rows, places = split
    columns: dict[str, Any] = {"id": id_names(rows.ids[places])}
    if isinstance(rows.inputs, list):
        columns["text"] = pa.array([rows.inputs[i] for i in places.tolist()], pa.string())
    else:
        for place, name in enumerate(settings.features or ()):
            columns[name] = rows.inputs[places, place]
    columns["label"] = pa.array(rows.labels[places].tolist(), pa.string())
    return pa.table(columns)


def _schema(files: list[Rows], picked: dict[str, Picked], settings: PrepareData) -> dict[str, Any]:
    labels = np.concatenate([rows.labels[places] for rows, places in picked.values()])
    classes = Counter(labels.tolist())
    rejected = sum((rows.counts() for rows in files), Counter())
    return {
        "kind": "text" if settings.features is None else "numeric",
        "labels": sorted(classes),
        "features": settings.features,
        "found": sum(len(rows.table) for rows in files),
        "rows": {name: len(split.places) for name, split in picked.items()},
        "classes": {label: classes[label] for label in sorted(classes)},
        "rejected": {reason.value: rejected[reason] for reason in Reason if rejected[reason]},
    }


def _tell(schema: dict[str, Any]) -> None:
    splits = ", ".join(f"{name} {count}" for name, count in schema["rows"].items())
    rejected = ", ".join(f"{count} {reason}" for reason, count in schema["rejected"].items())
    kept = sum(schema["rows"].values())
    say(f"{schema['found']} rows found, {kept} kept in {len(schema['labels'])} classes: {splits}")
    if rejected:
        say(f"rejected: {rejected}; each row in {REJECTED}")
