"""Where a model can be found: in the registry, by its base, or in a folder."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError, ConfigError, InputError, StoreError
from openautoglm.inference.package import CHOICE, PACKAGE, Choice, read_choice

if TYPE_CHECKING:  # MLflow takes seconds to import, and a folder needs none of it
    from openautoglm.registry.resolve import Registered
    from openautoglm.registry.store import Store

SCHEME = "models:/"
_PARTS = (f"{PAYLOAD}/{PACKAGE}", CHOICE)
_USUAL = "models/compressed"
Files = Callable[[str], AbstractContextManager[Path]]
"""A compressed model's folder with one file in it, or with all for "", while the context lasts."""


@dataclass(frozen=True)
class Found:
    """A model before it is known to fit.

    Attributes:
        name: The registered model's, or the folder's.
        version: What answers carry.
        digest: Of its payload.
        origin: `models:/NAME/VERSION`, or the folder.
        choice: The part that compress chose.
        files: How to get at it.
        data: Digest of the rows it was made from, as far as it is known.
    """

    name: str
    version: str
    digest: str
    origin: str
    choice: Choice
    files: Files
    data: str


def by_uri(project: Project, uri: str, where: str) -> Found:
    """What `models:/NAME@ALIAS` or `models:/NAME/VERSION` names.

    Args:
        project: Whose registry.
        uri: The URI.
        where: File and line, for messages.

    Raises:
        ConfigError: It names nothing that can be served; the message lists what is there.
        StoreError: The registry does not answer.
    """
    from openautoglm.registry import resolve as registry

    with _told(where):
        store = _store(project)
        return _registered(store, registry.by_uri(store, uri))


def by_alias(project: Project, model: str, alias: str) -> Found:
    """A version of a registered model, by alias or number.

    Raises:
        ConfigError: There is none.
        StoreError: The registry does not answer.
    """
    from openautoglm.registry import resolve as registry

    with _told(None):
        store = _store(project)
        return _registered(store, registry.by_alias(store, model, alias))


def by_base(project: Project, base: str, where: str) -> Found:
    """The champion that was fine-tuned from a base.

    Args:
        project: Whose registry.
        base: As `model.base` of params.yaml had it.
        where: File and line, for messages.

    Raises:
        ConfigError: There is none, or several; the message lists the champions.
        StoreError: The registry does not answer.
    """
    from openautoglm.registry.resolve import champions, open_if_there

    store = open_if_there(project)
    with _told(where):
        known = champions(store, meant=base) if store else []
    fitting = [one for one in known if one.base == base]
    if store and len(fitting) == 1:
        return _registered(store, fitting[0])
    if fitting:
        raise ConfigError(
            f"{len(fitting)} champions come from `{base}`",
            where=where,
            allowed=", ".join(f"models:/{one.model}@champion" for one in fitting),
        )
    told = ", ".join(
        f"models:/{one.model}@champion ({f'base {one.base}' if one.base else 'no base'})"
        for one in known
    )
    raise ConfigError(
        f"`{base}` is no folder here, and no champion was fine-tuned from it",
        where=where,
        allowed=f"{told or 'no model is registered yet'}; or a folder such as {_USUAL}",
        hint=_meant(base, [one.model for one in known]) if told else "make run",
    )


def _meant(base: str, models: list[str]) -> str | None:
    near = difflib.get_close_matches(base, models, n=1)
    return f"did you mean {SCHEME}{near[0]}@champion?" if near else None


def folder_of(project: Project, model: str) -> Path | None:
    """The folder that a text names, unless there is none, or a base model's is meant.

    A base is named as `model.base` of params.yaml names it, which may be a folder too.
    """
    try:
        folder = Path(os.path.normpath(project.root / Path(model).expanduser()))
        base = (folder / "config.json").is_file() and not (folder / PAYLOAD).exists()
        return folder if folder.is_dir() and not base else None
    except (OSError, RuntimeError):  # too long a name, or the home of nobody
        return None


def in_folder(project: Project, folder: Path) -> Found:
    """A compressed model in a folder.

    Raises:
        ArtifactError: It is none, or is damaged.
    """
    if not all((folder / part).is_file() for part in _PARTS):
        usual = (project.root / _USUAL / CHOICE).is_file()
        raise ArtifactError(
            "there is no compressed model",
            where=str(folder),
            allowed=f"a folder that holds {' and '.join(_PARTS)}, such as {_USUAL}",
            hint=f"model: {_USUAL}" if usual else "make run",
        )
    try:
        manifest = read_manifest(folder)
        choice = read_choice(folder)
    except OSError as error:
        raise ArtifactError(
            f"the model cannot be read: {error.strerror}", where=str(error.filename or folder)
        ) from error
    digest = manifest.digest
    inside = folder.is_relative_to(project.root)
    return Found(
        name=folder.name,
        version=digest.removeprefix("sha256-")[:12],
        digest=digest,
        # Relative, so that a project that moves still serves the same.
        origin=str(folder.relative_to(project.root) if inside else folder),
        choice=choice,
        files=lambda _: nullcontext(folder),
        data=manifest.lineage.get("prepare", ""),
    )


def _registered(store: Store, version: Registered) -> Found:
    return Found(
        name=version.model,
        version=version.version,
        digest=version.digest,
        origin=version.uri,
        choice=Choice(family=version.family, variant=version.variant, reason="registered"),
        files=partial(_downloaded, store, version),
        data=version.data,
    )


@contextmanager
def _downloaded(store: Store, version: Registered, part: str) -> Iterator[Path]:
    from openautoglm.registry.resolve import fetch

    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        yield fetch(store, version, Path(folder), part)


def _store(project: Project) -> Store:
    from openautoglm.registry.resolve import open_if_there

    store = open_if_there(project)
    if store is None:
        raise InputError(
            "no model is registered yet", allowed="a folder of a compressed model", hint="make run"
        )
    return store


@contextmanager
def _told(where: str | None) -> Iterator[None]:
    """What the registry does not have is a fault of the configuration."""
    try:
        yield
    except StoreError:
        raise
    except InputError as error:
        raise ConfigError(
            error.what, where=where or error.where, allowed=error.allowed, hint=error.hint
        ) from error
