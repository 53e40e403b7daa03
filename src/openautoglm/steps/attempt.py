"""What a step is about to be made from, and the digest that names it.

By it unfinished work is found again after a kill, finished work elsewhere, a search in a store
that several searches share, and an output that was made before.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openautoglm.artifacts.code import code_digest
from openautoglm.artifacts.digest import value_digest
from openautoglm.artifacts.manifest import Manifest, read_manifest
from openautoglm.config.model import Settings

_LIBRARIES = ("numpy", "pandas", "scikit-learn", "torch", "transformers", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Attempt:
    """Inputs, parameters and code of one call of a step.

    Attributes:
        inputs: Manifest of each input folder, by argument name.
        params: The step's parameters as plain values.
        code: Digest of the modules of ours that the step imports.
    """

    inputs: Mapping[str, Manifest]
    params: dict[str, Any]
    code: str

    @property
    def digest(self) -> str:
        """Its name: equal for equal inputs, parameters and code."""
        return _digest(self._digests, self.params, self.code)

    def manifest(self, step: str, digest: str, seconds: float) -> Manifest:
        """What is written beside a payload of this digest that `step` has made from it."""
        found = self.inputs.values()
        lineage = {k: v for manifest in found for k, v in manifest.lineage.items()}
        history = {k: v for manifest in found for k, v in manifest.history.items()}
        return Manifest(
            step=step,
            digest=digest,
            inputs=self._digests,
            params=self.params,
            code=self.code,
            lineage=lineage | {step: digest},
            history=history | {step: self.params},
            environment=_environment(),
            seconds=round(seconds, 3),
        )

    @property
    def _digests(self) -> dict[str, str]:
        return {key: manifest.digest for key, manifest in self.inputs.items()}


def attempt_at(module: str, inputs: Mapping[str, Path], params: Settings) -> Attempt:
    """What a call of a module's step is made from; each input is checked against its manifest.

    Raises:
        ArtifactError: An input folder is missing or is not what its manifest says.
    """
    return Attempt(
        {key: read_manifest(folder) for key, folder in inputs.items()},
        params.model_dump(mode="json", by_alias=True),
        code_digest(module),
    )


def attempt_of(module: str, manifests: Mapping[str, Manifest], params: Mapping[str, Any]) -> str:
    """The name of an attempt at the step of a module, which need not be imported for it."""
    return Attempt(manifests, dict(params), code_digest(module)).digest


def part_name(step: str, part: int, parts: int) -> str:
    """What one part of a step is called, from 0, in its lines and where its work is kept."""
    return f"{step}-{part + 1}-of-{parts}"


def origin(manifest: Manifest) -> str:
    """The name of the attempt that a folder came from."""
    return _digest(manifest.inputs, manifest.params, manifest.code)


def _digest(inputs: Mapping[str, str], params: Mapping[str, Any], code: str) -> str:
    return value_digest({"inputs": dict(inputs), "params": dict(params), "code": code})


def _environment() -> dict[str, str]:
    """Interpreter, machine and library versions, for people who compare two folders."""
    found: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    for library in _LIBRARIES:
        if library.replace("scikit-learn", "sklearn") in sys.modules:
            found[library] = version(library)
    return found
