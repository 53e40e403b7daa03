"""`model.json`: what a compressed model's payload holds, and `choice.json`: which part is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.errors import ArtifactError

PACKAGE = "model.json"
CHOICE = "choice.json"
SPEED = "speed.json"
"""Beside the payload: milliseconds of each variant, with the CPU, its flags and the threads."""
Kind = Literal["trained", "pruned", "distilled"]
M = TypeVar("M", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variant(_Frozen):
    """One graph of one family.

    Attributes:
        file: Path of the ONNX file in the payload.
        bytes: Its size.
        max_difference: Largest probability difference to the framework on valid.
        odd_difference: The same on odd inputs: empty, very long, characters never seen.
        agreement: Share of valid rows on which graph and framework predict the same class.
    """

    file: str
    bytes: int
    max_difference: float
    odd_difference: float
    agreement: float


class TextInput(_Frozen):
    """`int64[rows, length]` ids."""

    kind: Literal["text"]
    tokenizer: str
    max_length: int
    pad_id: int


class NumericInput(_Frozen):
    """`float32[rows, d]` features, in this order."""

    kind: Literal["numeric"]
    features: tuple[str, ...]


class Family(_Frozen):
    """A network: one that train made, or one cut or distilled from it.

    Attributes:
        kind: Where it comes from.
        settings: By dotted key: what tune found, or how it was cut or distilled.
        operations: Floating-point operations for one text of mean length.
        input: What its graphs take.
        variants: Its graphs by precision.
    """

    kind: Kind
    settings: dict[str, Any]
    operations: int
    input: TextInput | NumericInput
    variants: dict[str, Variant]


class Package(_Frozen):
    """Everything a replica must know of a model."""

    labels: tuple[str, ...]
    base: str | None
    candidate: str
    fallback: str | None
    families: dict[str, Family]


class Choice(_Frozen):
    """Which family and variant is used, and why; not part of the digest."""

    family: str
    variant: str
    reason: str


def read_package(folder: Path) -> Package:
    """`payload/model.json` of a compressed model.

    Raises:
        ArtifactError: It is missing or not valid.
    """
    return _read(folder / PAYLOAD / PACKAGE, Package)


def read_choice(folder: Path) -> Choice:
    """`choice.json` of a compressed model.

    Raises:
        ArtifactError: It is missing or not valid.
    """
    return _read(folder / CHOICE, Choice)


def _read(path: Path, model: type[M]) -> M:
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError("this is not a compressed model", where=str(path)) from None
    except (ValidationError, UnicodeDecodeError) as error:
        raise ArtifactError(f"cannot be read: {error}", where=str(path)) from None
