"""The page's tables: trials of the search, variants of the model, windows of rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.compression.pack import LEFT_OUT, VARIANTS
from openautoglm.config.project import Project
from openautoglm.inference.package import SPEED

_TUNED, _COMPRESSED = "models/tuned", "models/compressed"
_EVALUATION, _DRIFT = "reports/evaluation", "reports/drift"
_BEST_TRIALS = 3


def trials(project: Project) -> Iterator[str | Table]:
    """The best trials of each family, and what train took from them."""
    folder = project.root / _TUNED / PAYLOAD
    if not (folder / "trials.csv").is_file():
        yield f"{_TUNED} is not here: dvc pull"
        return
    rows = _rows(folder / "trials.csv")
    best: dict[str, Any] = _json(folder / "best.json")
    if rows:
        yield _trials(rows)
    for family, found in best.items():
        yield f"{family}: {found['reason']}"
    if rows:
        pruned = sum(row["state"] == "pruned" for row in rows)
        yield f"{len(rows)} trials, {pruned} pruned; plots: {_TUNED}/*.png"


def _trials(rows: list[dict[str, str]]) -> Table:
    table = _table("trial", "family", "macro F1 on valid", "settings")
    for family in dict.fromkeys(row["family"] for row in rows):
        complete = [row for row in rows if row["family"] == family and row["macro_f1"]]
        complete.sort(key=lambda row: -float(row["macro_f1"]))
        for row in complete[:_BEST_TRIALS]:
            settings = json.loads(row["settings"])
            table.add_row(row["trial"], family, f"{float(row['macro_f1']):.4f}", _told(settings))
    return table


def variants(project: Project) -> Iterator[str | Table]:
    """Every variant: size, speed, agreement and loss on test beside the candidate's fp32 graph."""
    rows = _rows(project.root / _EVALUATION / PAYLOAD / "variants.csv")
    speed: dict[str, Any] = {}
    file = project.root / _COMPRESSED / SPEED
    if file.is_file():
        speed = _json(file)
    yield _variants(rows, speed.get("variants", {}))
    yield (
        f"* is served. Against {rows[0]['family']} {rows[0]['variant']}: times as fast with 1 text "
        "and with 32; % of the same class, accuracy in %, and its change, on test"
    )
    if speed:
        flags = [flag for flag in speed["flags"] if flag in ("avx2", "avx512_vnni", "amx_int8")]
        yield f"threads: {speed['threads']}; {speed['cpu']}, {' '.join(flags) or 'no such flags'}"
    front = [
        row
        for row in _rows(project.root / _COMPRESSED / PAYLOAD / VARIANTS)
        if row["pareto"] == "1"
    ]
    yield (
        "beaten by none in bytes, macro F1 on valid and operations at once: "
        + ", ".join(f"{row['family']} {row['variant']}" for row in front)
        + f"; plot: {_COMPRESSED}/pareto.png"
    )
    left_out = _json(project.root / _COMPRESSED / PAYLOAD / LEFT_OUT)
    for one in left_out:
        yield f"no {one['variant']} of {one['family']}: {one['reason']}"


def _variants(rows: list[dict[str, str]], speed: dict[str, Any]) -> Table:
    table = _table("variant", "MB", "x 1", "x 32", "same", "acc.", "change, points")
    first = f"{rows[0]['family']}/{rows[0]['variant']}"
    for row in rows:
        name = f"{row['family']}/{row['variant']}"
        served = row["served"] == "1"
        table.add_row(
            Text(f"{'* ' if served else '  '}{row['family']} {row['variant']}", no_wrap=True),
            f"{int(row['bytes']) / 1e6:.1f}",
            *(_faster(name, first, speed, batch) for batch in ("ms_1", "ms_32")),
            f"{100 * float(row['agreement']):.1f}",
            f"{100 * float(row['accuracy']):.2f}",
            "" if name == first else _spread(row),
            style="bold" if served else None,
        )
    return table


def _faster(name: str, first: str, speed: dict[str, Any], batch: str) -> str:
    """How many times as fast as the candidate's fp32 graph."""
    if not {name, first} <= speed.keys():
        return ""
    return f"{speed[first][batch] / speed[name][batch]:.1f}"


def _spread(row: dict[str, str]) -> str:
    value, low, high = (100 * float(row[key]) for key in ("change", "change_low", "change_high"))
    return f"{value:+.2f} [{low:+.2f},{high:+.2f}]"


def windows(project: Project) -> Iterator[str | Table]:
    """The verdict of each window, beside the one that was expected."""
    folder = project.root / _DRIFT / PAYLOAD
    if not (folder / "drift.json").is_file():
        yield f"{_DRIFT} is not here: dvc pull"
        return
    for name, found in _json(folder / "drift.json")["windows"].items():
        as_expected = found["verdict"] == found["expected"]
        marked = "" if as_expected else f" (expected: {found['expected']})"
        yield f"{name}: {found['verdict']}{marked}: {found['reason']}"
    yield f"report: {_DRIFT}/drift.html; any other window: openautoglm drift --current FILE"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place in (0, len(columns) - 1) else "right")
    return table


def _told(settings: dict[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in settings.items()
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
