"""What Kubeflow's own UI shows of a step's output: metrics, a confusion matrix, pages, tables."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.reports.markdown import table
from openautoglm.steps.component import Artifact
from openautoglm.steps.effect import RECEIPT

_CLASSES = 40
"""A matrix is kept as an artifact's metadata, which is no place for a million numbers."""
_OTHER = "(other)"
_FRACTION = re.compile(r"-?\d+\.\d+(e-?\d+)?")


def log(metrics: Artifact, values: Mapping[str, float]) -> None:
    """Put numbers into a `Metrics` artifact; a score that is not defined has no place in one."""
    # Kubeflow's server refuses a task whose metadata hold NaN: that is no JSON.
    metrics.metadata.update({key: one for key, one in values.items() if math.isfinite(one)})


def write(markdown: Artifact, text: str) -> None:
    """Write a `Markdown` artifact."""
    Path(markdown.path).write_text(text, encoding="utf-8")


def page(html: Artifact, folder: Path, name: str) -> None:
    """Copy a page, which stands by itself, into an `HTML` artifact."""
    shutil.copyfile(folder / name, html.path)


def rows(prepared: Path) -> dict[str, float]:
    """Rows of each split, and rejected ones."""
    schema = _json(prepared, "schema.json")
    counts = {name: float(count) for name, count in schema["rows"].items()}
    return counts | {"rejected": float(sum(schema["rejected"].values()))}


def trials(tuned: Path) -> str:
    """What was found for each family, and every trial."""
    best = _json(tuned, "best.json")
    found = [f"- **{family}**: {one['reason']}" for family, one in best.items()]
    return "\n".join([*found, "", _table(_rows(tuned, "trials.csv"))]) + "\n"


def valid(trained: Path) -> dict[str, float]:
    """Scores of each family on valid."""
    found = _json(trained, "trained.json")["valid"]
    return {f"{family}.{name}": one[name] for family, one in found.items() for name in one}


def variants(compressed: Path) -> str:
    """Which variant is served, why, and all of them."""
    choice = json.loads((compressed / "choice.json").read_text(encoding="utf-8"))
    served = f"**{choice['family']} {choice['variant']}** is served: {choice['reason']}"
    return "\n".join([served, "", _table(_rows(compressed, "variants.csv"))]) + "\n"


def metrics(evaluation: Path) -> dict[str, float]:
    """Candidate, baseline and fallback on test, with their intervals."""
    found: dict[str, float] = {}
    for who, part in _json(evaluation, "metrics.json").items():
        for name, value in part.items() if isinstance(part, dict) else [("", part)]:
            if isinstance(value, int | float):
                found[f"{who}.{name}".rstrip(".")] = value
    return found


def confusion(evaluation: Path) -> tuple[list[str], list[list[int]]]:
    """Labels, and rows of test by true class and predicted class; rare classes as one."""
    with (evaluation / PAYLOAD / "confusion.csv").open(encoding="utf-8", newline="") as stream:
        (_, *labels), *lines = csv.reader(stream)
    counts = [[int(count) for count in line] for _, *line in lines]
    if len(labels) <= _CLASSES:
        return labels, counts
    often = sorted(range(len(labels)), key=lambda place: -sum(counts[place]))
    shown = sorted(often[: _CLASSES - 1])
    places = {place: at for at, place in enumerate(shown)}
    merged = [[0] * _CLASSES for _ in range(_CLASSES)]
    for true, line in enumerate(counts):
        for predicted, count in enumerate(line):
            row, column = (places.get(place, _CLASSES - 1) for place in (true, predicted))
            merged[row][column] += count
    return [*(labels[place] for place in shown), _OTHER], merged


def verdict(folder: Path) -> str:
    """The verdict of an evaluation, or of an effect's receipt."""
    receipt = folder / RECEIPT
    if not receipt.is_file():
        return gate(folder)[0]
    found: str = json.loads(receipt.read_text(encoding="utf-8"))["verdict"]
    return found


def gate(evaluation: Path) -> tuple[str, str]:
    """The verdict of an evaluation, `pass` or `fail`, and why."""
    found = _json(evaluation, "verdict.json")
    return found["verdict"], found["reason"]


def effects(drift: Path) -> dict[str, float]:
    """Effect of each column in each window."""
    found: dict[str, float] = {}
    for window in ("test", "shifted"):
        for column in _json(drift, f"{window}.json")["columns"]:
            if column["effect"] is not None:
                found[f"{window}.{column['column']}"] = column["effect"]
    return found


def receipt(folder: Path) -> str:
    """A receipt: the verdict first, and why."""
    found = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    lines = [f"# {found['verdict']}", "", found["reason"], "", f"model `{found['model_digest']}`"]
    if found.get("registered") is False:
        lines[0] = f"# gate {found['verdict']}: nothing was registered"
    return "\n".join(lines) + "\n"


def _json(folder: Path, name: str) -> Any:
    return json.loads((folder / PAYLOAD / name).read_text(encoding="utf-8"))


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / PAYLOAD / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows of a CSV file; a number has as many digits as a person reads."""
    lines = [[_short(cell) for cell in row.values()] for row in rows]
    return table(list(rows[0]), lines) if rows else ""


def _short(cell: str) -> str:
    return f"{float(cell):.4g}" if _FRACTION.fullmatch(cell) else cell
