"""The `compress` section of `params.yaml`."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from openautoglm.config.model import Settings, Share
from openautoglm.config.search import Choices, Dimension, Range
from openautoglm.config.training import Buckets

Precision = Literal["fp32", "fused", "fp16", "int8", "int8-static", "int4-rtn", "int4-gptq"]
Recipe = Literal[
    "fp32",
    "fused",
    "fp16",
    "int8",
    "int8-static",
    "int4-rtn",
    "int4-gptq",
    "pruned",
    "distilled",
]


class PruneSettings(Settings):
    """Heads and feed-forward rows that are cut from the candidate, and how it recovers."""

    precision: Precision = Field("int8", description="how the pruned network is stored")
    heads: Share = Field(0.25, description="share of the attention heads that stay")
    hidden: Share = Field(0.25, description="share of the feed-forward rows that stay")
    epochs: int = Field(1, ge=0, description="passes over train after the cut; 0: none")
    lr: float | None = Field(
        None, gt=0, description="peak rate of these passes; null: 3e-4, or train.lr for a base"
    )


class DistillSettings(Settings):
    """A smaller student that learns what its teacher says of each row of train.

    It starts from the teacher's tables, along their principal directions; without that, the
    probabilities alone bring nothing, because the teacher knows train by heart. Hinton, Vinyals,
    Dean: Distilling the Knowledge in a Neural Network, 2015.
    """

    precision: Precision = Field("int8", description="how the student is stored")
    teacher: Literal["candidate", "mean"] = Field(
        "mean",
        description="the candidate, or the mean of all families; also whose tables it starts from",
    )
    dim: int = Field(32, ge=8, description="width of the encoder")
    layers: int = Field(1, ge=0, description="encoder layers")
    heads: int = Field(2, ge=1, description="attention heads of a layer; divides `dim`")
    hidden: int = Field(64, ge=8, description="width of the feed-forward layers")
    buckets: Buckets = Field(2**17, description="rows of the hashed n-gram tables")
    epochs: int = Field(3, ge=1, description="passes over train")
    batch_size: int = Field(128, ge=1, description="rows a step")
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    temperature: float = Field(2.0, gt=0, description="softens the teacher's probabilities")
    weight: Share = Field(0.7, description="the teacher's share of the loss; the rest: the labels")

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"`heads` ({self.heads}) does not divide `dim` ({self.dim})")
        return self


class CompressGate(Settings):
    """Which variant is served: the smallest whose loss is shown to be small, or fp32."""

    metric: Literal["macro_f1", "accuracy"] = Field("accuracy", description="what may be lost")
    max_loss: Share = Field(
        0.01, description="the paired interval on valid must lie above minus this"
    )
    min_gain: Share = Field(
        0.2, description="share of the bytes that a variant must save to be worth it"
    )
    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the interval")


class SearchSettings(Settings):
    """The search of compression together with the model: macro F1, bytes, operations.

    Each recipe as it is set above is a first trial; these are the ones that follow.
    """

    rounds: int = Field(1, ge=0, description="rounds of trials; 0: the recipes alone")
    trials: int = Field(2, ge=1, description="trials a round")
    pruned: dict[str, Dimension] | None = Field(
        None, description="ranges and choices by key of compress.prune; null: a space of ours"
    )
    distilled: dict[str, Dimension] | None = Field(
        None, description="the same for compress.distill"
    )


class CompressSettings(Settings):
    """Which variants are built, how closely they must agree, and which one is served."""

    recipes: tuple[Recipe, ...] = Field(
        get_args(Recipe), description="variants to build; fp32 is always among them"
    )
    max_difference: float = Field(
        1e-4,
        gt=0,
        description="largest probability difference of an fp32 graph to the framework, on valid",
    )
    seed: int = Field(1, ge=0, description="seed of the search, of students and of recovery")
    threads: int = Field(2, ge=1, description="CPU threads")
    calibration_rows: int = Field(
        512, ge=8, description="rows of train that static INT8 and GPTQ look at"
    )
    prune: PruneSettings = PruneSettings()
    distill: DistillSettings = DistillSettings()
    gate: CompressGate = CompressGate()
    search: SearchSettings = SearchSettings()

    @model_validator(mode="after")
    def _some(self) -> Self:
        if len(set(self.recipes)) != len(self.recipes):
            raise ValueError("`recipes` names one twice")
        if "fp32" not in self.recipes:
            raise ValueError("`recipes` needs fp32: the others are measured against it")
        return self


def pruned_space(settings: CompressSettings) -> dict[str, Dimension]:
    """What is searched of `compress.prune`; the precision is the set one where it is not."""
    precision: dict[str, Dimension] = {"precision": Choices(choices=(settings.prune.precision,))}
    if settings.search.pruned is not None:
        return precision | settings.search.pruned
    return precision | {
        "precision": Choices(choices=("int8", "int4-gptq")),
        "heads": Range(low=0.1, high=0.75),
        "hidden": Range(low=0.05, high=0.75),
    }


def distilled_space(settings: CompressSettings) -> dict[str, Dimension]:
    """What is searched of `compress.distill`; the precision is the set one where it is not."""
    precision: dict[str, Dimension] = {"precision": Choices(choices=(settings.distill.precision,))}
    if settings.search.distilled is not None:
        return precision | settings.search.distilled
    heads = settings.distill.heads
    return precision | {
        "precision": Choices(choices=("int8", "int4-rtn")),
        "dim": Choices(choices=tuple(heads * width for width in (8, 16, 24))),
        "layers": Choices(choices=(0, 1)),
        "buckets": Choices(choices=(2**15, 2**16, 2**17)),
    }
