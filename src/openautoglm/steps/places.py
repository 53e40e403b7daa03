"""From a registered version back to the artifacts that it came with, for a later pipeline run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.params import RegisterParams
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say, working_on
from openautoglm.registry.places import named, note_places, places_of
from openautoglm.registry.store import open_store
from openautoglm.registry.versions import DIGEST, find
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import Artifact, checked, entry, this_project
from openautoglm.steps.effect import read_receipt
from openautoglm.steps.register import Registration


class Stored(Protocol):
    """A Kubeflow artifact that is kept somewhere."""

    uri: str


class Places(NamedTuple):
    """URIs of what a version was made from and measured by."""

    prepared: str
    compressed: str
    evaluation: str


@entry
def remember(artifacts: Mapping[str, Stored], registration: Artifact, params: str) -> None:
    """Note with a version where its artifacts are; nothing, where none was registered.

    Args:
        artifacts: By the names of `Places`.
        registration: The receipt of register.
        params: What register sees, as JSON.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    working_on("remember")
    told = read_receipt(Path(registration.path), Registration)
    if not told.registered:
        say(f"nothing was registered: {told.reason}")
        return
    store, model = open_store(this_project()), checked(RegisterParams, params, "remember").model
    version = find(store, model.name, told.model_digest)
    if version is None:
        raise ArtifactError(
            f"the registry does not hold this model under the name {model.name}",
            where=store.uri,
            hint="run the pipeline again: register is idempotent",
        )
    places = {name: artifacts[name].uri for name in Places._fields}
    note_places(store, version, places)
    say(f"{model.name} version {version.version}: {', '.join(places)} are known by it")


@entry
def locate(params: str, version: str) -> Places:
    """Where the artifacts of a version are.

    Args:
        params: What register sees, as JSON.
        version: Number, alias, or `latest`.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    working_on("locate")
    project, model = this_project(), checked(RegisterParams, params, "locate").model
    store = open_store(project)
    found = named(store, model.name, version)
    known = places_of(found) or _of_dvc(project, found.tags.get(DIGEST))
    if not set(Places._fields) <= known.keys():
        raise ArtifactError(
            f"nobody noted where the artifacts of {model.name} version {found.version} are",
            where=store.uri,
            allowed="a version that the pipeline training has registered",
            hint="run training: the same data and parameters find the same version again",
        )
    say(f"{model.name} version {found.version}")
    return Places(*(known[name] for name in Places._fields))


def _of_dvc(project: Project, digest: str | None) -> dict[str, str]:
    """The project's own folders, where `dvc repro` has made this very version."""
    folders = {Path(step.out).name: project.root / step.out for step in STEPS.values()}
    try:
        same = read_manifest(folders["compressed"]).digest == digest
        measured = read_manifest(folders["evaluation"]).inputs.get("compressed") == digest
        read_manifest(folders["prepared"])
    except ArtifactError:
        return {}
    return {name: str(folders[name]) for name in Places._fields} if same and measured else {}
