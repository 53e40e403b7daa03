"""What every step does around its own work: check, resume, write whole, describe.

`pure` turns a function that fills a folder into a step: inputs are verified against their
manifests, unfinished work is found again by digest, and the output appears whole or not at all.
"""

from __future__ import annotations

import functools
import inspect
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD, published
from openautoglm.artifacts.lock import exclusive
from openautoglm.artifacts.manifest import write_manifest
from openautoglm.config.model import Settings
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.attempt import Attempt, attempt_at
from openautoglm.steps.runtime import Runtime


class Filling(Protocol):
    """Fills the folder `out`, with a runtime whose work folder is its own."""

    def __call__(self, *, runtime: Runtime, out: Path) -> None: ...  # noqa: D102


def pure(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate `step(*folders, params=, runtime=, out=)`.

    The body is called with `out` as an empty folder that already holds `payload/`, and with
    `runtime.work` as its own resumable folder. What it puts in `payload/` is digested; what it
    puts beside it (plots, HTML) is not.

    Raises:
        ArtifactError: An input folder is missing or is not what its manifest says.
        BusyError: The same step is at work in this project.
    """

    @functools.wraps(function)
    def step(*folders: Path, params: Settings, runtime: Runtime, out: Path, **named: Path) -> None:
        inputs = inspect.signature(function).bind_partial(*folders, **named).arguments
        attempt = attempt_at(function.__module__, inputs, params)
        body = functools.partial(function, **inputs, params=params)
        made(function.__name__, attempt, body, runtime, out)

    return step


def made(name: str, attempt: Attempt, body: Filling, runtime: Runtime, out: Path) -> None:
    """Make a folder from what an attempt says: resumed after a kill, whole, described.

    Args:
        name: Whose folder it is: a step's, or one part's of a step.
        attempt: What it is made from.
        body: Fills it; called with `runtime.work` as its own folder.
        runtime: The caller's.
        out: The folder.

    Raises:
        BusyError: The same one is at work in this project.
    """
    start = time.perf_counter()
    working_on(name)
    work = runtime.work / name / attempt.digest
    # Two attempts at once would write the same checkpoints.
    with exclusive(runtime.work / f"{name}.lock"):
        work.mkdir(parents=True, exist_ok=True)
        with published(out) as part:
            (part / PAYLOAD).mkdir()
            body(runtime=runtime.inside(work), out=part)
            digest = folder_digest(part / PAYLOAD)
            write_manifest(part, attempt.manifest(name, digest, time.perf_counter() - start))
        # With it goes what attempts with other inputs, parameters or code have left.
        shutil.rmtree(runtime.work / name, ignore_errors=True)
    say(f"done in {time.perf_counter() - start:.1f} s: {digest[:19]}")
