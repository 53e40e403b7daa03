"""What came of a version beside the champion, kept with the version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from mlflow.entities.model_registry import ModelVersion as ModelVersion

from openautoglm.registry.store import Store, answering

_PREFIX = "canary."
_MOVED = "canary.moved"


@dataclass(frozen=True)
class Tried:
    """A version's canary.

    Attributes:
        finding: `no_worse`, `worse`, `undecided`, or `alone` when there was no champion beside it.
        reason: Why, in words.
        key: Digest of the champion, rows and settings that it is about.
    """

    finding: str
    reason: str
    key: str

    @classmethod
    def of(cls, version: ModelVersion) -> Self | None:
        """What is noted with a version; None when nothing is, or the note was cut off."""
        tags = {name: version.tags.get(f"{_PREFIX}{name}") for name in cls.__dataclass_fields__}
        return None if None in tags.values() else cls(**tags)

    def note(self, store: Store, version: ModelVersion) -> None:
        """Keep it with a version; the finding comes last, and without it there is no note.

        Raises:
            StoreError: The store does not answer.
        """
        name, number = version.name, str(version.version)
        with answering(store.uri):
            if f"{_PREFIX}finding" in version.tags:
                store.client.delete_model_version_tag(name, number, f"{_PREFIX}finding")
            for tag in ("key", "reason", "finding"):
                store.client.set_model_version_tag(
                    name, number, f"{_PREFIX}{tag}", getattr(self, tag)
                )


def has_moved(version: ModelVersion) -> bool:
    """Whether a canary has made this version the champion; what came later is not its business."""
    return _MOVED in version.tags


def note_moved(store: Store, version: ModelVersion) -> None:
    """Keep that a canary has made this version the champion.

    Raises:
        StoreError: The store does not answer.
    """
    with answering(store.uri):
        store.client.set_model_version_tag(version.name, str(version.version), _MOVED, "true")
