"""What is kept of a look for drift and of a retraining, as tags of an MLflow run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from mlflow.entities import Run

PREFIX = "retrain."
LONGEST = 2000
"""Characters of a text that are kept."""
CLAIMED, BEGUN, ENDED = "claimed", "begun", "ended"
SUCCEEDED = "succeeded"


@dataclass(frozen=True)
class _Record:
    """What every record has.

    Attributes:
        run: The pipeline run that wrote it.
        at: When, in seconds since 1970.
    """

    run: str
    at: float

    @classmethod
    def of(cls, run: Run) -> Self:
        """The record that an MLflow run holds."""
        told = {field.name: run.data.tags[PREFIX + field.name] for field in fields(cls)}
        return cls(**{**told, "at": float(told["at"])})

    @property
    def tags(self) -> dict[str, str]:
        """The same for an MLflow run."""
        return {field.name: str(getattr(self, field.name))[:LONGEST] for field in fields(self)}


@dataclass(frozen=True)
class Look(_Record):
    """One look at a window.

    Attributes:
        model: Digest of the model whose reference the window was beside.
        window: Digest of the window.
        verdict: `none`, `drift` or `too little data`.
        reason: The verdict in words.
    """

    model: str
    window: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Retraining(_Record):
    """One retraining.

    Attributes:
        data: Digest of the rows it learns from.
        state: `claimed`, `begun` or `ended`.
        outcome: How it ended: `succeeded`, `failed`, `cancelled`; empty before.
        champion: The model's champion when it began, as a version number; empty for none.
    """

    data: str
    state: str = CLAIMED
    outcome: str = ""
    champion: str = ""
