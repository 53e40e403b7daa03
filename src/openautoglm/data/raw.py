"""`source.json`: what fetch put into a folder and where it came from."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.errors import ArtifactError, SourceError

SOURCE = "source.json"
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet")
"""Formats by suffix; `.txt` is read as `.tsv`."""


class RawFile(BaseModel):
    """One file of rows.

    Attributes:
        file: Its name in the payload.
        name: What messages call it: the name it had at its source.
        sha256: Hex SHA-256 of its bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    name: str
    sha256: str


class Raw(BaseModel):
    """The payload of fetch. Nothing in it depends on the machine: no absolute path, no time.

    Attributes:
        kind: The kind of source.
        origin: What the source says of itself: package and version, or repository and revision.
        rows: The rows to learn from.
        test: The fixed test file, if one was named.
        key: Column for the keys of a JSON file that is a mapping.
        columns: Column names of a file without a header.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    origin: dict[str, str | None]
    rows: RawFile
    test: RawFile | None
    key: str | None = None
    columns: tuple[str, ...] | None = None


def write_raw(payload: Path, raw: Raw) -> None:
    """Write `source.json` into a payload."""
    (payload / SOURCE).write_text(raw.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_raw(payload: Path) -> Raw:
    """Read `source.json` of a payload.

    Raises:
        ArtifactError: It is missing or not valid.
    """
    path = payload / SOURCE
    try:
        return Raw.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"this is not what fetch writes: {error}", where=str(path), hint="dvc repro fetch"
        ) from None


def suffix_of(name: str) -> str:
    """The lower-case suffix of a file of rows.

    Raises:
        SourceError: It is none we read.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise SourceError(
            f"the suffix of `{name}` tells no format we read", allowed=" ".join(SUFFIXES)
        )
    return suffix
