"""What every effect does around its own work: check, lock, leave a receipt.

An effect changes something outside its folder, so it is not cached and not digested. Its output
is a receipt that holds nothing of the state it met (no version, time or URL): repeating the
effect on an empty registry gives the same bytes, and DVC sees no change.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.artifacts.folder import published
from openautoglm.artifacts.lock import exclusive
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.model import Settings
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.runtime import Runtime

RECEIPT = "receipt.json"
SKIPPED = "skipped: experiment"
# DVC gives a stage these while an experiment runs, in the workspace, a queue or a temporary copy.
_EXPERIMENT = ("DVC_EXP_BASELINE_REV", "DVC_EXP_NAME")


class Receipt(BaseModel):
    """What an effect did, without anything of the state that it met.

    Attributes:
        model_digest: The model it was about.
        verdict: What it came to.
        reason: Why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_digest: str
    verdict: str
    reason: str


class Registration(Receipt):
    """What register did; its verdict is the gate's, `pass` or `fail`.

    Attributes:
        registered: Whether the registry holds the model.
    """

    registered: bool


R = TypeVar("R", bound=Receipt)


def effect(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate `step(*folders, params=, runtime=, out=)`.

    The body is called while the project's lock for effects is held, with `out` as an empty
    folder and `runtime.work` as a folder of its own. `out` appears when the body ends well.

    Raises:
        ArtifactError: An input folder is missing or is not what its manifest says.
        BusyError: Another process changes the registry or traffic of this project.
    """
    name = function.__name__

    @functools.wraps(function)
    def step(*folders: Path, params: Settings, runtime: Runtime, out: Path, **named: Path) -> None:
        working_on(name)
        start = time.perf_counter()
        inputs = inspect.signature(function).bind_partial(*folders, **named).arguments
        for folder in inputs.values():
            # What another effect leaves has a receipt in its place, and the body reads that.
            if not (folder / RECEIPT).is_file():
                read_manifest(folder)
        with exclusive(Project(runtime.project).effects_lock), published(out) as part:
            mine = runtime.inside(runtime.work / name)
            function(**inputs, params=params, runtime=mine, out=part)
        say(f"done in {time.perf_counter() - start:.1f} s")

    return step


def in_experiment() -> bool:
    """Whether `dvc exp run` called this process: effects then leave the world as it is."""
    return any(os.environ.get(variable) for variable in _EXPERIMENT)


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Write `receipt.json` into a folder."""
    text = json.dumps(receipt.model_dump(), indent=2, ensure_ascii=False)
    (folder / RECEIPT).write_text(text + "\n", encoding="utf-8")


def read_receipt(folder: Path, kind: type[R]) -> R:
    """Read a folder's receipt of a kind.

    Raises:
        ArtifactError: It is missing or not readable.
    """
    path = folder / RECEIPT
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(
            "there is no receipt that can be read", where=str(path), hint="openautoglm verify"
        ) from error
