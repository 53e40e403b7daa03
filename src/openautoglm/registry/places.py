"""Where a version's rows, package and evaluation lie, for pipelines that begin with a version."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.entities.model_registry import ModelVersion

from openautoglm.registry.store import Store, answering
from openautoglm.registry.versions import by_name

_PREFIX = "artifact."
LATEST = "latest"
"""Instead of a number or an alias: the version that was registered last."""


def note_places(store: Store, version: ModelVersion, places: Mapping[str, str]) -> None:
    """Note URIs with a version; noting them again changes nothing."""
    with answering(store.uri):
        for name, uri in places.items():
            store.client.set_model_version_tag(
                version.name, str(version.version), f"{_PREFIX}{name}", uri
            )


def places_of(version: ModelVersion) -> dict[str, str]:
    """The URIs that were noted with a version, by name."""
    tags = version.tags.items()
    return {tag.removeprefix(_PREFIX): uri for tag, uri in tags if tag.startswith(_PREFIX)}


def named(store: Store, model: str, name: str) -> ModelVersion:
    """A version by number, alias, or `latest`.

    Raises:
        InputError: There is none; the message lists those that exist.
    """
    if name != LATEST:
        return by_name(store, model, name)
    with answering(store.uri):
        found = store.client.search_model_versions(f"name = '{model}'")
    numbers = [int(version.version) for version in found]
    return by_name(store, model, str(max(numbers)) if numbers else LATEST)
