"""What is kept of an answer, and what a label did."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from openautoglm.errors import DataError

Inputs = Sequence[str] | Sequence[list[float]]
"""The rows of one request: texts as they were sent, or features."""


@dataclass(frozen=True)
class Source:
    """What gave an answer: a release, and the classes it knows.

    Attributes:
        name: What clients call the model: the service's name.
        version: Its version.
        digest: `sha256-...` of its payload.
        family: Family of the graph.
        variant: Its precision.
        classes: Its classes.
    """

    name: str
    version: str
    digest: str
    family: str
    variant: str
    classes: tuple[str, ...]

    @property
    def key(self) -> str:
        """As `source_key`."""
        return source_key(self.name, self.version, self.digest, self.family, self.variant)


def source_key(name: str, version: str, digest: str, family: str, variant: str) -> str:
    """The store's name for a release: 16 hex digits, the same for the same answers."""
    told = (name, version, digest, family, variant)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


class Answer(NamedTuple):
    """One request's answer.

    Attributes:
        request_id: What the request is called in its answer.
        time: When it was given, seconds since 1970.
        labels: The label of each row.
        confidence: The score of each label.
        inputs: The rows, where the request is in the sample; else None.
        crc: CRC-32 of the rows as JSON; tells apart requests that clients gave one name. None
            where nobody knows.
    """

    request_id: str
    time: float
    labels: Sequence[str]
    confidence: Sequence[float]
    inputs: Inputs | None = None
    crc: int | None = None


@dataclass(frozen=True)
class Standing:
    """The label that stands for a request.

    Attributes:
        labels: One a row.
        first: Whether it was set by this call; False where an earlier one stands.
    """

    labels: tuple[str, ...]
    first: bool


class UnknownAnswerError(DataError):
    """No answer of this request is known."""


class WrongLabelError(DataError):
    """A label is none of the classes, or there is not one for each row."""
