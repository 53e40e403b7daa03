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
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import Artifact, checked, entry, this_project
from openautoglm.steps.effect import Registration, read_receipt
from openautoglm.steps.remembered import note


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
    # MLflow takes seconds to import, and after a failed gate nobody asks it.
    from openautoglm.registry.places import note_places
    from openautoglm.registry.store import open_store, redacted
    from openautoglm.registry.versions import find

    project, model = this_project(), checked(RegisterParams, params, "remember").model
    store = open_store(project)
    version = find(store, model.name, told.model_digest)
    if version is None:
        raise ArtifactError(
            f"the registry does not hold this model under the name {model.name}",
            where=redacted(store.uri),
            hint="run the pipeline again: register is idempotent",
        )
    uris = {name: artifacts[name].uri for name in Places._fields}
    note(project, uris.values(), f"{model.name} version {version.version}")
    places = {name: _moving(project, uri) for name, uri in uris.items()}
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
    from openautoglm.registry.places import named, places_of
    from openautoglm.registry.store import open_store, redacted
    from openautoglm.registry.versions import DIGEST

    project, model = this_project(), checked(RegisterParams, params, "locate").model
    store = open_store(project)
    found = named(store, model.name, version)
    known = {name: _here(project, uri) for name, uri in places_of(found).items()}
    gone = [uri for uri in known.values() if _is_gone(uri)]
    if gone or not _complete(known):
        known = _of_dvc(project, found.tags.get(DIGEST))
    if not _complete(known):
        told = f"{gone[0]} is gone" if gone else "nobody noted where they are"
        raise ArtifactError(
            f"the artifacts of {model.name} version {found.version} are not known: {told}",
            where=redacted(store.uri),
            allowed="a version that the pipeline training has registered",
            hint="run training: the same data and parameters find the same version again",
        )
    say(f"{model.name} version {found.version}")
    return Places(*(known[name] for name in Places._fields))


def _complete(known: Mapping[str, str]) -> bool:
    return set(Places._fields) <= known.keys()


def _moving(project: Project, uri: str) -> str:
    """What lies in the project moves with it, as the project's own registry does."""
    place = Path(uri)
    return str(place.relative_to(project.root)) if place.is_relative_to(project.root) else uri


def _here(project: Project, uri: str) -> str:
    return uri if "://" in uri else str(project.root / uri)


def _is_gone(uri: str) -> bool:
    return "://" not in uri and not Path(uri).exists()


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
