"""From what a user calls a model to a registered version, and to its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.utils.file_utils import local_file_uri_to_path

from openautoglm.config.postgres import with_driver
from openautoglm.config.project import Project
from openautoglm.errors import InputError, StoreError
from openautoglm.registry.packed import model_folder
from openautoglm.registry.sqlite import sqlite_file
from openautoglm.registry.store import Store, answering, open_store
from openautoglm.registry.versions import CHAMPION, DIGEST, by_name, download

SCHEME = "models:/"
_URI = re.compile(r"models:/(?P<model>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
_FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION"
_BASE, _FAMILY, _VARIANT = "model.base", "model.family", "model.variant"
_NO_BASE = "none"
_DATA = "digest.data"


@dataclass(frozen=True)
class Registered:
    """A version that can be served.

    Attributes:
        model: Registered name.
        version: Its number.
        digest: Of the compressed model's payload.
        base: The model it was fine-tuned from; None when it was trained from nothing.
        family: Family of the graph that was chosen.
        variant: Its precision.
        source: Where the packed model lies, as MLflow has it.
        data: Digest of the rows it was made from; "" when nobody noted it.
    """

    model: str
    version: str
    digest: str
    base: str | None
    family: str
    variant: str
    source: str
    data: str

    @property
    def uri(self) -> str:
        """The version, whatever happens to aliases."""
        return f"{SCHEME}{self.model}/{self.version}"


def open_if_there(project: Project) -> Store | None:
    """The project's store; None when it is a file that nothing has made yet.

    Raises:
        StoreError: It does not answer.
    """
    file = sqlite_file(with_driver(project.tracking_uri))
    return None if file is not None and not file.exists() else open_store(project)


def by_uri(store: Store, uri: str) -> Registered:
    """The version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names.

    Raises:
        InputError: It has another form, or there is no such model, alias or version; the message
            lists those that exist.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        model = re.split("[/@:]", uri.removeprefix(SCHEME))[0]
        raise InputError(f"found `{uri}`", allowed=", ".join(_uris(store, model)) or _FORMS)
    return by_alias(store, found["model"], found["alias"] or found["version"])


def by_alias(store: Store, model: str, alias: str) -> Registered:
    """A version of a model, by alias or number.

    Raises:
        InputError: There is no such model, alias or version, or it cannot be served.
    """
    known = {one.name: sorted(one.aliases) for one in _models(store)}
    if model not in known:
        raise InputError(
            f"no model `{model}` is registered",
            allowed=", ".join(
                f"{SCHEME}{name}@{each}" if each else f"{SCHEME}{name}/VERSION"
                for name, its in known.items()
                for each in its or [""]
            )
            or "nothing is registered yet",
            hint=None if known else "make run",
        )
    return _servable(by_name(store, model, alias))


def _uris(store: Store, model: str) -> list[str]:
    """What names a version of a model: its aliases, then its numbers; empty without the model."""
    aliases = next((one.aliases for one in _models(store) if one.name == model), None)
    if aliases is None:
        return []
    with answering(store.uri):
        found = store.client.search_model_versions(f"name = '{model}'")
    numbers = sorted(int(version.version) for version in found)
    return [
        *(f"{SCHEME}{model}@{alias} (version {aliases[alias]})" for alias in sorted(aliases)),
        *(f"{SCHEME}{model}/{number}" for number in numbers),
    ]


def champions(store: Store, meant: str | None = None) -> list[Registered]:
    """The champion of every registered model that can be served, by name.

    Args:
        store: An open store.
        meant: A base; a champion of ours that comes from it is not left out.

    Raises:
        InputError: A champion that comes from this base cannot be served.
    """
    numbers = [(one.name, one.aliases.get(CHAMPION)) for one in _models(store)]
    with answering(store.uri):
        found = [
            store.client.get_model_version(name, str(number)) for name, number in numbers if number
        ]
    known = []
    for version in found:
        try:
            known.append(_servable(version))
        except InputError:
            if meant is not None and meant == version.tags.get(_BASE) and DIGEST in version.tags:
                raise
    return known


def fetch(store: Store, version: Registered, target: Path, part: str = "") -> Path:
    """A folder that holds a version's compressed model, or one file of it.

    Where the store's files lie on this machine, they are not copied.

    Args:
        store: An open store.
        version: Whose.
        target: An empty folder for what must be downloaded.
        part: The file that is needed, such as `payload/model.json`; "" is all of them.

    Raises:
        StoreError: It is not there, or the storage does not answer.
    """
    within = model_folder(Path())
    try:
        if urlsplit(version.source).scheme in ("", "file"):
            folder = Path(local_file_uri_to_path(version.source)) / within
            (folder / part).stat()
            return folder
        uri = f"{version.source}/{within.as_posix()}"
        if not part:
            return download(store, uri, target)
        place = (target / part).parent
        place.mkdir(parents=True, exist_ok=True)
        download(store, f"{uri}/{part}", place)
        return target
    except (OSError, StoreError) as error:
        raise StoreError(
            f"the files of {version.model} version {version.version} cannot be had: "
            f"{str(error).splitlines()[0]}",
            where=version.source,
            hint="openautoglm verify",
        ) from error


def _models(store: Store) -> Iterator[RegisteredModel]:
    token = None
    while True:
        with answering(store.uri):
            page = store.client.search_registered_models(
                max_results=100, order_by=["name ASC"], page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


def _servable(version: ModelVersion) -> Registered:
    tags = version.tags
    missing = [tag for tag in (DIGEST, _FAMILY, _VARIANT) if tag not in tags]
    if version.status != "READY" or missing:
        what = (
            f"has the status {version.status}"
            if version.status != "READY"
            else f"was not registered by open-autoglm: it has no tag {', '.join(missing)}"
        )
        raise InputError(
            f"{version.name} version {version.version} {what}", hint="openautoglm verify"
        )
    base = tags.get(_BASE, _NO_BASE)
    return Registered(
        model=version.name,
        version=str(version.version),
        digest=tags[DIGEST],
        base=None if base == _NO_BASE else base,
        family=tags[_FAMILY],
        variant=tags[_VARIANT],
        source=version.source,
        data=tags.get(_DATA, ""),
    )
