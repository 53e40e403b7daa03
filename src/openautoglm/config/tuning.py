"""The `tune` section of `params.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from openautoglm.config.model import Settings, Share
from openautoglm.config.search import Choices, Dimension, Range, Space, dimensions

FIXED = ("seed", "threads", "precision", "epochs", "max_length", "patience")
"""Keys of `train` that are no matter of quality alone, or are the budget itself."""


class TuneSettings(Settings):
    """The search for each family's settings; `train` is where it starts.

    Each family's first trial is `train` as it is, so a key that is not searched keeps its value.
    """

    seed: int = Field(1, ge=0, description="seed of the search")
    rounds: int = Field(2, ge=0, description="rounds; 0 takes `train` as it is, without a trial")
    trials: int = Field(4, ge=1, description="trials a round")
    rows: int = Field(4000, ge=100, description="rows of train that a trial fits, at most")
    epochs: int = Field(3, ge=1, description="passes over them")
    prune: bool = Field(
        True,
        description="stop a transformer below the median of earlier rounds at its epoch; takes "
        "three complete ones",
    )
    min_gain: Share = Field(
        0.0, description="macro F1 on valid by which a trial must beat `train` to replace it"
    )
    space: Space | None = Field(
        None, description="ranges and choices by key of `train`; null: a space for the families"
    )

    @model_validator(mode="after")
    def _searchable(self) -> Self:
        if self.space is None:
            return self
        for key, _ in dimensions(self.space):
            if key in FIXED:
                raise ValueError(f"`space`: `{key}` is not searched; set train.{key}")
        return self


def family_of(key: str) -> str:
    """Which family a key of the space belongs to; the flat ones are the transformer's."""
    return "glm" if key.startswith("glm.") else "transformer"


def space_for(families: Sequence[str], *, base: bool, numeric: bool) -> Space:
    """What is searched when `tune.space` is null: what moves quality most, for these families."""
    glm: dict[str, Dimension] = {"penalty": Range(low=4.0, high=128.0, log=True)}
    if numeric:
        glm["crosses"] = Choices(choices=(False, True))
    found: Space = {}
    if "transformer" in families:
        found["label_smoothing"] = Choices(choices=(0.0, 0.05, 0.1, 0.2))
        if base:
            found["lr"] = Range(low=1e-5, high=1e-4, log=True)
        else:
            found["lr"] = Range(low=5e-4, high=2e-3, log=True)
            found["transformer"] = {"ngram_lr": Range(low=1e-3, high=4e-3, log=True)}
    if "glm" in families:
        found["glm"] = glm
    return found
