"""What a canary came to, kept with the version it was about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from mlflow.entities.model_registry import ModelVersion as ModelVersion

from openautoglm.registry.store import Store, answering

_PREFIX = "canary."


@dataclass(frozen=True)
class Tried:
    """The canary of one version.

    Attributes:
        verdict: As its receipt has it.
        reason: Likewise.
        key: Digest of what it was about: the same champion, rows and settings need no second one.
        against: The champion's digest.
    """

    verdict: str
    reason: str
    key: str
    against: str

    @classmethod
    def of(cls, version: ModelVersion) -> Self | None:
        """What is noted with a version; None when nothing is, or the note was cut off."""
        tags = {name: version.tags.get(f"{_PREFIX}{name}") for name in cls.__dataclass_fields__}
        return None if None in tags.values() else cls(**tags)

    def note(self, store: Store, version: ModelVersion) -> None:
        """Keep it with a version; the verdict comes last, and without it there is no note.

        Raises:
            StoreError: The store does not answer.
        """
        name, number = version.name, str(version.version)
        with answering(store.uri):
            if f"{_PREFIX}verdict" in version.tags:
                store.client.delete_model_version_tag(name, number, f"{_PREFIX}verdict")
            for tag in ("key", "against", "reason", "verdict"):
                store.client.set_model_version_tag(
                    name, number, f"{_PREFIX}{tag}", getattr(self, tag)
                )
