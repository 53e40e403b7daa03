"""The `data` section of `params.yaml`: where rows come from, which of them count."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from openautoglm.config.model import Settings, Share

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

    kind: Literal["package"] = Field(description="the kind of source")
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

    kind: Literal["file"] = Field(description="the kind of source")
    path: str = Field(description="absolute, or relative to the project root")
    columns: Columns = None

    @model_validator(mode="after")
    def _columns(self) -> Self:
        _check_columns(self.columns, self.path)
        return self


class HuggingFaceSource(Settings):
    """A Hugging Face `datasets` name or folder (extra `hub`)."""

    kind: Literal["huggingface"] = Field(description="the kind of source")
    path: str = Field(description="data set name, or a local folder")
    config: str | None = Field(None, description="configuration of the data set")
    split: str = Field("train", description="the split whose rows are taken")
    revision: str | None = Field(None, description="commit or tag; pin it for names on the hub")


class DvcSource(Settings):
    """A file in a DVC repository at a revision."""

    kind: Literal["dvc"] = Field(description="the kind of source")
    repo: str = Field(description="URL or folder of the repository")
    path: str = Field(description="path of the file in the repository")
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

    train: Share = Field(0.76, description="rows to learn from; above 0")
    valid: Share = Field(0.06, description="early stopping and choices between models; above 0")
    test: Share = Field(
        0.08, description="for evaluate, once; joins train when `data.test` names a file"
    )
    replay: Share = Field(0.05, description="traffic of a canary")
    reference: Share = Field(0.05, description="what drift is measured against")

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
    label: str = Field("label", description="the label column")
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


class DataParams(PrepareData, FetchData):
    """Data: where from, which columns, which splits."""
