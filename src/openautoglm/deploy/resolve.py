"""From `model:` of a `config.yaml` to a release, and to the files it is made of."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.project import Project
from openautoglm.config.service import Service, key_line
from openautoglm.deploy.fit import LEFT_OUT, check_pipeline, chosen_family, pick, service_name
from openautoglm.deploy.found import (
    SCHEME,
    Files,
    Found,
    by_alias,
    by_base,
    by_uri,
    folder_of,
    in_folder,
)
from openautoglm.deploy.release import Release
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.inference.package import PACKAGE, Package, read_package


@dataclass(frozen=True)
class Resolved:
    """A model that was found and fits the configuration.

    Attributes:
        service: The service's name.
        release: What is to be served.
        labels: The model's classes, in its order.
        input: What it takes.
        files: How to get at it.
        data: Digest of the rows the model was made from, as far as it is known.
    """

    service: str
    release: Release
    labels: tuple[str, ...]
    input: Literal["text", "numeric"]
    files: Files
    data: str

    def place(self, models: ModelStore) -> Path:
        """The model's folder in the store; copied there unless it is there, whole, already.

        Raises:
            ArtifactError: The model is damaged or cannot be read.
            StoreError: The registry's storage does not give it.
            OSError: The disk is full.
        """
        return place(models, self.release.digest, self.files)


def place(models: ModelStore, digest: str, files: Files) -> Path:
    """A model's folder in the store: `Resolved.place`, of any model by its files."""
    if models.has(digest):
        try:
            return models.verify(digest)
        except ArtifactError:
            pass  # a damaged copy is replaced
    with files("") as folder:
        return models.put(folder, digest)


def resolve(project: Project, service: Service, file: Path) -> Resolved:
    """Find the model of a service; nothing is written.

    In this order: a registry's URI; a folder; the champion that was fine-tuned from that base.

    Args:
        project: Whose registry, folders and model store.
        service: What `config.yaml` says.
        file: That file, for messages.

    Raises:
        ConfigError: There is no such model, several, or it is not what the file says it is.
        ArtifactError: A folder is no compressed model, or is damaged.
        StoreError: The registry does not answer.
    """
    where = key_line(file, "model")
    if service.model.startswith(SCHEME):
        found = by_uri(project, service.model, where)
    elif folder := folder_of(project, service.model):
        found = in_folder(project, folder)
    else:
        found = by_base(project, service.model, where)
    called = service.name or service_name(found.name, file)
    return _fitting(project, service, found, called, file)


def resolve_alias(
    project: Project, service: Service, champion: Release, alias: str, file: Path
) -> Resolved:
    """Another version of the model that a service serves.

    Args:
        project: Whose registry.
        service: How the service is served: precision and pipeline hold for this version too.
        champion: What it serves now.
        alias: An alias or a version number.
        file: Where `service` stands, for messages.

    Raises:
        ConfigError: The service's model comes from a folder, or there is no such version.
        StoreError: The registry does not answer.
    """
    if not champion.origin.startswith(SCHEME):
        raise ConfigError(
            f"`{champion.name}` serves a folder ({champion.origin}), which has no {alias}",
            allowed="a service whose model is registered",
            hint="make run registers the model; then model: models:/NAME@champion",
        )
    model = champion.origin.removeprefix(SCHEME).rpartition("/")[0]
    found = by_alias(project, model, alias)
    return _fitting(project, service, found, champion.name, file)


def _fitting(project: Project, service: Service, found: Found, called: str, file: Path) -> Resolved:
    """Check a model against the configuration, and say what is served of it."""
    package = _package(project, found)
    family = chosen_family(package, found.choice)
    check_pipeline(service.pipeline[0], package, family, file)
    left_out = partial(_text, found, LEFT_OUT)
    variant = pick(service.quantization, family, found.choice, left_out, file)
    return Resolved(
        service=called,
        release=Release(
            name=called,
            version=found.version,
            digest=found.digest,
            family=found.choice.family,
            variant=variant,
            origin=found.origin,
        ),
        labels=package.labels,
        input=family.input.kind,
        files=found.files,
        data=found.data,
    )


def _package(project: Project, found: Found) -> Package:
    """What the model holds: from the store, or where it comes from when it is not there, whole."""
    models = ModelStore(project)
    if models.has(found.digest):
        with suppress(ArtifactError, OSError):
            return read_package(models.folder(found.digest))
    with found.files(f"{PAYLOAD}/{PACKAGE}") as folder:
        try:
            return read_package(folder)
        except OSError as error:
            raise ArtifactError(
                f"the model cannot be read: {error.strerror}", where=str(error.filename or folder)
            ) from error


def _text(found: Found, part: str) -> str:
    with found.files(part) as folder:
        return (folder / part).read_text(encoding="utf-8")
