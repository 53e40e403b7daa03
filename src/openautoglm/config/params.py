"""`params.yaml`: how a model is made.

Each step sees a view that holds only the keys it uses; the same keys are its `params` in
`dvc.yaml`, and only they enter its digest.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from openautoglm.config.model import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]

Columns = Annotated[
    tuple[str, ...] | None,
    Field(description="names of all columns, when a CSV or TSV file has no header"),
]


def _check_columns(columns: tuple[str, ...] | None, path: str) -> None:
    if columns is None:
        return
    if not path.lower().endswith((".csv", ".tsv", ".txt")):
        raise ValueError("`columns` has a meaning for CSV and TSV files only")
    if not columns or len(set(columns)) != len(columns):
        raise ValueError("`columns` names each column once")


class PackageSource(Settings):
    """A data file inside an installed Python package."""

    kind: Literal["package"]
    package: str = Field(description="distribution name, as pip knows it")
    file: str = Field(description="path inside the distribution")
    key: str | None = Field(None, description="column for the keys, when a JSON file is a mapping")

    @model_validator(mode="after")
    def _key(self) -> Self:
        if self.key is not None and not self.file.lower().endswith(".json"):
            raise ValueError("`key` has a meaning for JSON files only")
        return self


class FileSource(Settings):
    """A local CSV, TSV (`.tsv`, `.txt`), JSONL, JSON or Parquet file, by its suffix."""

    kind: Literal["file"]
    path: str = Field(description="absolute, or relative to the project root")
    columns: Columns = None

    @model_validator(mode="after")
    def _columns(self) -> Self:
        _check_columns(self.columns, self.path)
        return self


class HuggingFaceSource(Settings):
    """A Hugging Face `datasets` name or folder (extra `hub`)."""

    kind: Literal["huggingface"]
    path: str = Field(description="data set name, or a local folder")
    config: str | None = None
    split: str = "train"
    revision: str | None = Field(None, description="commit or tag; pin it for names on the hub")


class DvcSource(Settings):
    """A file in a DVC repository at a revision."""

    kind: Literal["dvc"]
    repo: str = Field(description="URL or folder of the repository")
    path: str
    rev: str | None = Field(None, description="commit, tag or branch")
    columns: Columns = None

    @model_validator(mode="after")
    def _columns(self) -> Self:
        _check_columns(self.columns, self.path)
        return self


Source = Annotated[
    PackageSource | FileSource | HuggingFaceSource | DvcSource, Field(discriminator="kind")
]


class Splits(Settings):
    """Shares of the five splits; they sum to 1."""

    train: Share = 0.76
    valid: Share = 0.06
    test: Share = 0.08
    replay: Share = 0.05
    reference: Share = 0.05

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = sum(self.model_dump().values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of the splits sum to {total:g}, not to 1")
        if not self.train or not self.valid:
            raise ValueError("train and valid need a share above 0")
        return self


class FetchData(Settings):
    """Where the rows come from."""

    source: Source
    test: str | None = Field(None, description="a fixed test file, of the same columns")


class PrepareData(Settings):
    """Which columns and rows count."""

    text: str | None = Field("text", description="the text column; null with `features`")
    features: tuple[str, ...] | None = Field(None, description="numeric columns instead of a text")
    label: str = "label"
    label_pattern: str | None = Field(
        None, description="regular expression; its first match in the label column is the label"
    )
    labels: dict[str, Annotated[str, Field(min_length=1)]] | None = Field(
        None, min_length=1, description="found label to the label to use"
    )
    min_class_rows: int = Field(2, ge=2, description="smaller classes are dropped and reported")
    max_chars: int = Field(512, ge=1, description="longer texts are rejected")
    max_bad_share: Share = Field(0.2, description="share of rejected rows above which we stop")
    splits: Splits = Splits()

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if (self.text is None) == (self.features is None):
            raise ValueError("give either `text` (a column) or `features` (columns), not both")
        if self.features is not None and not self.features:
            raise ValueError("`features` names no column")
        if self.features is not None and len({*self.features, "id", "label"}) < (
            len(self.features) + 2
        ):
            # Prepared rows have an `id` and a `label` of their own.
            raise ValueError("`features` names each column once, and neither `id` nor `label`")
        if self.label in (self.features or ()):
            raise ValueError("the label column is no feature")
        if self.label_pattern is not None:
            try:
                re.compile(self.label_pattern)
            except re.error as error:
                raise ValueError(f"`label_pattern` is no regular expression: {error}") from None
        return self


class DataParams(FetchData, PrepareData):
    """Data: where from, which columns, which splits."""


class ModelIdentity(Settings):
    """What the registry calls the model."""

    name: Name


class ModelFamilies(Settings):
    """What kinds of model compete."""

    families: tuple[Literal["transformer", "glm"], ...] = ("transformer", "glm")
    base: str | None = Field(
        None, description="local folder or hub id to fine-tune; null trains from scratch"
    )
    revision: str | None = Field(None, description="revision of a hub id")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.families or len(set(self.families)) != len(self.families):
            raise ValueError("`families` needs at least one family, each once")
        if self.base is None and self.revision is not None:
            raise ValueError("`revision` has no meaning without `base`")
        return self


class ModelParams(ModelIdentity, ModelFamilies):
    """The model's name and families."""


class CompressSettings(Settings):
    """Which variants are built, and how closely they must agree with the framework."""

    recipes: tuple[Literal["fp32"], ...] = ("fp32",)
    max_difference: float = Field(
        1e-4, gt=0, description="largest probability difference to the framework, on valid"
    )
    threads: int = Field(2, ge=1)


class Gate(Settings):
    """No worse than the baseline: the paired interval's lower end lies above -margin."""

    metric: Literal["macro_f1", "accuracy"] = "macro_f1"
    margin: Share = 0.02


class EvaluateSettings(Settings):
    """How the candidate is measured on test."""

    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    seed: int = Field(1, ge=0)
    threads: int = Field(2, ge=1)
    gate: Gate = Gate()


class RegisterSettings(Settings):
    """How a candidate is compared with the champion."""

    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    seed: int = Field(1, ge=0)


class GlmSettings(Settings):
    """Multinomial logistic regression on character n-grams or numeric features."""

    orders: tuple[int, ...] = (1, 2, 3)
    buckets: int = Field(2**18, ge=2**10, description="rows of the hashed weight table")
    penalty: float = Field(1.0, gt=0, description="inverse strength C of the L2 penalty")
    crosses: bool = Field(False, description="pairwise products of numeric features")
    max_iter: int = Field(200, ge=1)


class TrainSettings(Settings):
    """Training; the flat keys are the transformer's."""

    seed: int = Field(1, ge=0)
    threads: int = Field(2, ge=1, description="CPU threads: part of the result, so a parameter")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    lr: float = Field(1e-3, gt=0)
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(64, ge=1)
    glm: GlmSettings = GlmSettings()


class FetchParams(Settings):
    """What fetch sees."""

    data: FetchData


class PrepareParams(Settings):
    """What prepare sees."""

    data: PrepareData


class TrainParams(Settings):
    """What train sees."""

    model: ModelFamilies = ModelFamilies()
    train: TrainSettings = TrainSettings()


class CompressParams(Settings):
    """What compress sees."""

    compress: CompressSettings = CompressSettings()


class EvaluateParams(Settings):
    """What evaluate sees."""

    evaluate: EvaluateSettings = EvaluateSettings()


class RegisterParams(Settings):
    """What register sees."""

    model: ModelIdentity
    register_: RegisterSettings = Field(RegisterSettings(), alias="register")


class Params(Settings):
    """The whole of `params.yaml`."""

    data: DataParams
    model: ModelParams
    train: TrainSettings = TrainSettings()
    compress: CompressSettings = CompressSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    register_: RegisterSettings = Field(RegisterSettings(), alias="register")


V = TypeVar("V", bound=Settings)


def view(params: Params, model: type[V]) -> V:
    """The part of `params` that one step sees."""
    whole: dict[str, Any] = params.model_dump(mode="json", by_alias=True)
    picked = {
        section: {key: whole[section][key] for key in keys}
        for section, keys in _sections(model).items()
    }
    return model.model_validate(picked, strict=False)


def dvc_keys(model: type[Settings]) -> list[str]:
    """The keys of `params.yaml` a step depends on, as `dvc.yaml` lists them."""
    whole = _sections(Params)
    return [
        name
        for section, keys in _sections(model).items()
        for name in ([section] if keys == whole[section] else [f"{section}.{k}" for k in keys])
    ]


def _sections(model: type[Settings]) -> dict[str, list[str]]:
    sections = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Settings)
        sections[field.alias or name] = sorted(section.model_fields)
    return sections
