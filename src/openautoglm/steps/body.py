"""What every step does around its own work: check, resume, write whole, describe.

`pure` turns a function that fills a folder into a step: inputs are verified against their
manifests, unfinished work is found again by digest, and the output appears whole or not at all.
"""

from __future__ import annotations

import functools
import inspect
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openautoglm.artifacts.code import code_digest
from openautoglm.artifacts.digest import folder_digest, value_digest
from openautoglm.artifacts.folder import PAYLOAD, published
from openautoglm.artifacts.lock import exclusive
from openautoglm.artifacts.manifest import Manifest, read_manifest, write_manifest
from openautoglm.config.model import Settings
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.runtime import Runtime

_LIBRARIES = ("numpy", "pandas", "scikit-learn", "torch", "transformers", "onnx", "onnxruntime")


def pure(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate `step(*folders, params=, runtime=, out=)`.

    The body is called with `out` as an empty folder that already holds `payload/`, and with
    `runtime.work` as its own resumable folder. What it puts in `payload/` is digested; what it
    puts beside it (plots, HTML) is not.

    Raises:
        ArtifactError: An input folder is missing or is not what its manifest says.
        BusyError: The same step is at work in this project.
    """
    name = function.__name__

    @functools.wraps(function)
    def step(*folders: Path, params: Settings, runtime: Runtime, out: Path, **named: Path) -> None:
        working_on(name)
        start = time.perf_counter()
        inputs = inspect.signature(function).bind_partial(*folders, **named).arguments
        manifests = {key: read_manifest(folder) for key, folder in inputs.items()}
        values = params.model_dump(mode="json", by_alias=True)
        code = code_digest(function.__module__)
        digests = {key: manifest.digest for key, manifest in manifests.items()}
        attempt = value_digest({"inputs": digests, "params": values, "code": code})
        work = runtime.work / name / attempt
        # Two attempts at once would write the same checkpoints.
        with exclusive(runtime.work / f"{name}.lock"):
            work.mkdir(parents=True, exist_ok=True)
            with published(out) as part:
                (part / PAYLOAD).mkdir()
                function(**inputs, params=params, runtime=runtime.inside(work), out=part)
                digest = folder_digest(part / PAYLOAD)
                lineage = {k: v for m in manifests.values() for k, v in m.lineage.items()}
                history = {k: v for m in manifests.values() for k, v in m.history.items()}
                write_manifest(
                    part,
                    Manifest(
                        step=name,
                        digest=digest,
                        inputs=digests,
                        params=values,
                        code=code,
                        lineage=lineage | {name: digest},
                        history=history | {name: values},
                        environment=environment(),
                        seconds=round(time.perf_counter() - start, 3),
                    ),
                )
            # With it goes what attempts with other inputs, parameters or code have left.
            shutil.rmtree(runtime.work / name, ignore_errors=True)
        say(f"done in {time.perf_counter() - start:.1f} s: {digest[:19]}")

    return step


def environment() -> dict[str, str]:
    """Interpreter, machine and library versions, for people who compare two folders."""
    found: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    for library in _LIBRARIES:
        if library.replace("scikit-learn", "sklearn") in sys.modules:
            found[library] = version(library)
    return found
