"""`manifest.json`: what a folder is and what it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.errors import ArtifactError

MANIFEST = "manifest.json"


class Manifest(BaseModel):
    """What a step wrote beside its payload.

    Attributes:
        step: The step that made the folder.
        digest: Digest of the payload.
        inputs: Input name to payload digest.
        params: The step's parameters as plain values.
        code: Digest of the modules of ours that the step imports.
        lineage: Step name to payload digest, for this folder and everything upstream.
        history: Step name to its parameters, for this folder and everything upstream.
        environment: Python, machine and library versions: for people; no digest holds it.
        seconds: Wall-clock time the step took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    digest: str
    inputs: dict[str, str]
    params: dict[str, Any]
    code: str
    lineage: dict[str, str]
    history: dict[str, dict[str, Any]]
    environment: dict[str, str]
    seconds: float


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a folder."""
    text = json.dumps(manifest.model_dump(), indent=2, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest and check the payload against it.

    Raises:
        ArtifactError: The folder or its manifest is missing, unreadable, or the payload is not
            the one the manifest describes.
    """
    path = folder / MANIFEST
    hint = "openautoglm step STEP --help, or `dvc repro` to make it"
    if not path.is_file():
        raise ArtifactError(f"{folder} is not the output of a step", where=str(path), hint=hint)
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ArtifactError(
            "the manifest cannot be read", where=str(path), hint="dvc repro"
        ) from error
    found = folder_digest(folder / PAYLOAD)
    if found != manifest.digest:
        raise ArtifactError(
            f"the payload was changed after it was made: {found}",
            where=str(folder / PAYLOAD),
            allowed=manifest.digest,
            hint="dvc checkout, or dvc repro",
        )
    return manifest
