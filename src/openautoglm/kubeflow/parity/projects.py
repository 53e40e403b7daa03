"""Copies of a project for the callers; whole, or a small one on a part of its rows."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from openautoglm.config.params import Params, dvc_keys
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.data.prepared import Prepared, Split, read
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.caller import run_step
from openautoglm.steps.catalog import STEPS

_HELD = ("src", "components", "pipelines", "data/source", "params.yaml", "dvc.yaml", ".dvcignore")
_ROWS = "data/source/parity-rows.csv"
_CLASSES = 3
_EACH = {"train": 150, "valid": 20, "test": 20, "replay": 15, "reference": 15}
"""Rows of each class, by split."""
_SMALL: dict[str, Any] = {
    "tune": {"rounds": 1, "trials": 2, "rows": 200, "epochs": 1},
    "train": {"threads": 1, "epochs": 2},
    "compress": {"recipes": ["fp32", "int8"], "threads": 1},
    "evaluate": {"resamples": 100, "threads": 1, "gate": {"margin": 0.5}},
    "drift": {"threads": 1},
    "register": {"resamples": 100},
}
_TRANSFORMER = {"dim": 16, "hidden": 32, "heads": 2, "layers": 1, "buckets": 2048}


def copied(project: Project, root: Path) -> Project:
    """A project with the same files and none of the results; what lies elsewhere is read there.

    Args:
        project: Which.
        root: A folder that is not there yet.

    Raises:
        ConfigError: Its `params.yaml` is not as it must be.
    """
    load(project.params_file, Params)
    for name in _HELD:
        source, target = project.root / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copyfile(source, target)
    _anchor(project, root / project.params_file.name)
    return Project(root)


def _anchor(project: Project, params: Path) -> None:
    """Let relative paths of a copy lead to where they led from the project."""
    yaml = YAML()
    whole = yaml.load(params)
    source, moved = whole["data"]["source"], False
    places = [(whole["data"], "test"), (whole["model"], "base"), (source, "repo")]
    # The path of kind dvc is one in its repository.
    places += [(source, "path")] if source["kind"] != "dvc" else []
    for section, key in places:
        found = section.get(key)
        if found is not None and _stays_behind(project, found):
            section[key], moved = str((project.root / found).resolve()), True
    if moved:
        yaml.dump(whole, params)


def _stays_behind(project: Project, found: str) -> bool:
    inside = any(Path(found).is_relative_to(name) for name in _HELD)
    return not (inside or Path(found).is_absolute()) and (project.root / found).exists()


def small(project: Project, root: Path) -> Project:
    """A copy with some hundred of the project's own rows, and models to match.

    Args:
        project: Which; its rows are fetched and prepared.
        root: A folder that is not there yet.
    """
    found = copied(project, root)
    params = load(project.params_file, Params)
    rows = _prepared(found)
    working_on("parity")
    count = _write(rows, found.root / _ROWS)
    say(f"{count} rows of the project's data, and small models: parity --full takes all of it")
    data: dict[str, Any] = {"source": {"kind": "file", "path": _ROWS}, "label": "label"}
    data |= {"splits": params.data.splits.model_dump(mode="json")}
    data |= {"max_chars": params.data.max_chars}
    if rows.features is None:
        data["text"] = "text"
    else:
        data |= {"text": None, "features": list(rows.features)}
    whole = {"data": data, "model": {"name": params.model.name}, **_SMALL}
    whole["model"]["families"] = list(params.model.families)
    if "transformer" in params.model.families:
        whole["train"] = {**_SMALL["train"], "transformer": _TRANSFORMER}
    with found.params_file.open("w", encoding="utf-8") as stream:
        YAML().dump(_complete(whole), stream)
    return found


def _complete(given: dict[str, Any]) -> dict[str, Any]:
    """With every key that DVC watches: it takes none for its default."""
    settled = Params.model_validate(given, strict=False).model_dump(mode="json", by_alias=True)
    for step in STEPS.values():
        for name in dvc_keys(step.params):
            section, _, key = name.partition(".")
            held = given.setdefault(section, {})
            if key:
                held.setdefault(key, settled[section][key])
    return given


def _prepared(copy: Project) -> Prepared:
    """The project's rows; made in the copy, so that nothing of the project changes."""
    for name in ("fetch", "prepare"):
        step = STEPS[name]
        folders = {key: copy.root / place for key, place in step.inputs.items()}
        run_step(copy, step, folders, copy.root / step.out)
    return read(copy.root / STEPS["prepare"].out)


def _write(rows: Prepared, file: Path) -> int:
    """The first rows of the largest classes in each split, where their hashes put them again."""
    often = _largest(rows.split("train"))
    names = list(rows.features or ("text",))
    count = 0
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*names, "label"])
        for name, each in _EACH.items():
            split = rows.split(name)
            for label in often:
                for place in np.flatnonzero(split.y == label)[:each].tolist():
                    given = split.inputs[place]
                    inputs = given.tolist() if isinstance(given, np.ndarray) else [given]
                    writer.writerow([*inputs, rows.labels[label]])
                    count += 1
    return count


def _largest(split: Split) -> list[int]:
    return [label for label, _ in Counter(split.y.tolist()).most_common(_CLASSES)]
