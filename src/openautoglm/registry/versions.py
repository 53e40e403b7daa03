"""Registered versions: found by digest, checked by downloading them, named by aliases."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.errors import InputError, OpenAutoGLMError
from openautoglm.registry.packed import model_folder, packed_digest
from openautoglm.registry.store import Store, answering

DIGEST = "digest.model"
PACKED = "digest.packed"
SETTLED = "openautoglm.settled"
"""Set last of all: a version without it is an attempt that was cut off."""
AGAINST = "vs_champion"
"""Prefix of a run's metrics, and its tag, that hold the comparison with the champion."""
CHAMPION, CHALLENGER = "champion", "challenger"


def find(store: Store, model: str, digest: str) -> ModelVersion | None:
    """The version of a model that holds this digest; the lowest, should there be two."""
    with answering(store.uri):
        found = store.client.search_model_versions(
            f"name = '{model}' and tag.`{DIGEST}` = '{digest}'"
        )
        if not found:
            return None
        number = min(int(version.version) for version in found)
        version: ModelVersion = store.client.get_model_version(model, str(number))
        return version


def aliases(store: Store, model: str) -> dict[str, str]:
    """Alias to version number, of a model; empty when there is no such model."""
    with answering(store.uri):
        found = store.client.search_registered_models(f"name = '{model}'")
        return {alias: str(v) for one in found for alias, v in sorted(one.aliases.items())}


def by_name(store: Store, model: str, name: str) -> ModelVersion:
    """A version by number or alias.

    Raises:
        InputError: There is none; the message lists those that exist.
    """
    known = aliases(store, model)
    with answering(store.uri):
        numbers = sorted(
            (
                version.version
                for version in store.client.search_model_versions(f"name = '{model}'")
            ),
            key=int,
        )
        number = known.get(name, name.removeprefix("v"))
        if str(number) in {str(one) for one in numbers}:
            version: ModelVersion = store.client.get_model_version(model, str(number))
            return version
    offered = [*(f"{alias} (version {v})" for alias, v in known.items()), *map(str, numbers)]
    raise InputError(
        f"`{name}` is neither an alias nor a version of the model `{model}`",
        allowed=", ".join(offered) or "nothing is registered yet",
        hint=None if offered else "dvc repro, then: openautoglm verify",
    )


def upload(store: Store, source: str, packed: Path) -> None:
    """Put a packed model at an artifact URI, where nothing of an earlier attempt stays."""
    with answering(store.uri):
        repository = get_artifact_repository(source, tracking_uri=store.uri)
        # Nothing may be there, and some storage deletes nothing: the check afterwards decides.
        with suppress(MlflowException, NotImplementedError, OSError):
            repository.delete_artifacts("")
        repository.log_artifacts(str(packed))


def download(store: Store, source: str, target: Path) -> Path:
    """Fetch an artifact URI's contents into a new folder below `target`."""
    with answering(store.uri):
        return Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=source, dst_path=str(target), tracking_uri=store.uri
            )
        )


def differs(packed: Path, tags: Mapping[str, str]) -> str | None:
    """What is wrong with a downloaded version, or None.

    Args:
        packed: The downloaded folder.
        tags: The version's tags: what its digests must be.
    """
    try:
        found = folder_digest(model_folder(packed) / PAYLOAD)
        if found != tags.get(DIGEST):
            return f"its model has digest {found[:19]}"
    except OpenAutoGLMError as error:
        return error.what
    whole = packed_digest(packed) == tags.get(PACKED)
    return None if whole else "files around its model were changed"


def defect(store: Store, version: ModelVersion) -> str | None:
    """Download a version and check it: what is wrong with it, or None."""
    if version.status != "READY":
        return f"its status is {version.status}"
    if SETTLED not in version.tags:
        return "its registration was cut off"
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        try:
            packed = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=version.source, dst_path=folder, tracking_uri=store.uri
                )
            )
        except (MlflowException, OSError) as error:
            return f"it cannot be downloaded: {str(error).splitlines()[0][:200]}"
        return differs(packed, version.tags)


def told_of_champion(store: Store, version: ModelVersion) -> str | None:
    """How a version compared with the champion when it was registered, in words."""
    try:
        found: str | None = store.client.get_run(version.run_id).data.tags.get(AGAINST)
    except MlflowException:  # the run was removed by hand; the version is none the worse
        return None
    return found


def settle(store: Store, model: str, version: ModelVersion) -> None:
    """Give a new version its alias, once: `champion` when there is none, else `challenger`."""
    client, number = store.client, str(version.version)
    with answering(store.uri):
        if SETTLED in version.tags:
            return
        known = aliases(store, model)
        if known.get(CHAMPION) != number:
            alias = CHALLENGER if CHAMPION in known else CHAMPION
            client.set_registered_model_alias(model, alias, number)
        client.set_model_version_tag(model, number, SETTLED, "true")


def follow_promotion(store: Store, model: str, number: str) -> bool:
    """Make a version that a rollout has promoted the champion; whether anything had to be done.

    It is the challenger no longer, where it was that.

    Raises:
        StoreError: The store does not answer, or has no such version.
    """
    known = aliases(store, model)
    with answering(store.uri):
        if known.get(CHAMPION) != number:
            store.client.set_registered_model_alias(model, CHAMPION, number)
        if known.get(CHALLENGER) == number:
            store.client.delete_registered_model_alias(model, CHALLENGER)
    return known.get(CHAMPION) != number or known.get(CHALLENGER) == number
