"""Work for compress that was finished elsewhere: a part puts it down, the step takes it up.

What is not exactly what the step would make itself is left alone, and that is said. So the
result is the same with such work and without.
"""

from __future__ import annotations

import functools
import json
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.compression.variants import finished, once
from openautoglm.errors import ArtifactError
from openautoglm.observability.machine import cpu_flags, machine
from openautoglm.observability.progress import say
from openautoglm.steps.attempt import origin
from openautoglm.training.devices import accelerators

_MACHINE = "machine.json"
_LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "safetensors"),
    *("onnx", "onnxscript", "onnxruntime"),
)


def put_down(work: Path, out: Path) -> None:
    """Copy what a work folder has finished into the payload of `out`, with the machine's kind."""
    for folder, place in finished(work):
        shutil.copytree(folder, out / PAYLOAD / place)
    told = json.dumps(_kind(), indent=2) + "\n"
    (out / PAYLOAD / _MACHINE).write_text(told, encoding="utf-8")


def take_up(folders: Sequence[Path], work: Path) -> None:
    """Copy what fits into a work folder, each network and each variant whole.

    Args:
        folders: What parts have put down. One that was cut off or changed, that comes from
            other inputs, parameters or code, or from another kind of machine, is not used.
        work: Of an attempt, and named by it.
    """
    for folder in folders:
        if reason := _why_not(folder, work.name):
            say(f"finished work is left alone: {reason} ({folder})")
            continue
        new = 0
        for found, place in finished(folder / PAYLOAD):
            copy = functools.partial(shutil.copytree, found, dirs_exist_ok=True)
            new += once(work, place, copy)
        say(f"taken up: {new} finished networks and variants ({folder})")


def _why_not(folder: Path, attempt: str) -> str | None:
    try:
        manifest = read_manifest(folder)
        told = (folder / PAYLOAD / _MACHINE).read_text(encoding="utf-8")
    except (ArtifactError, OSError) as error:
        return str(error).splitlines()[0]
    if origin(manifest) != attempt:
        return "it comes from other inputs, parameters or code"
    theirs, mine = json.loads(told), _kind()
    for key in mine:
        if theirs.get(key) != mine[key]:
            return f"it comes from another kind of machine, {key} {theirs.get(key)}"
    return None


def _kind() -> dict[str, str]:
    """What the bytes of a network or graph depend on beside its inputs."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": machine().cpu,
        "flags": " ".join(cpu_flags()),
        "accelerators": "; ".join(accelerators()),
    } | {library: version(library) for library in _LIBRARIES}
