"""From an HTTP answer to predictions, or to the error that it means."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from openautoglm.client.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ModelFailedError,
    OverloadedError,
    ReplicaError,
    UnexpectedAnswerError,
)

_SHOWN = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one row.

    Attributes:
        label: The most probable class.
        scores: Probability of every class, in the model's order of classes.
        version: The model's version.
        digest: The model's digest, `sha256-...`.
        request_id: The request that brought it; one for all rows of a request.
    """

    label: str
    scores: dict[str, float]
    version: str
    digest: str
    request_id: str

    @property
    def score(self) -> float:
        """Probability of `label`."""
        return self.scores[self.label]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What answers there.

    Attributes:
        server: Name of the server program.
        server_version: Its version.
        extensions: Extensions of the Open Inference Protocol it speaks.
        version: The model's version.
        digest: The model's digest, `sha256-...`.
    """

    server: str
    server_version: str
    extensions: tuple[str, ...]
    version: str
    digest: str


def read_one(answer: httpx.Response) -> Prediction:
    """The prediction of a request of one row.

    Raises:
        ReplicaError: The answer is an error, or not what a replica answers.
    """
    return _read(answer, lambda body: _prediction(body, body, answer))


def read_list(answer: httpx.Response, count: int) -> list[Prediction]:
    """The predictions of a request of `count` rows, in order.

    Raises:
        ReplicaError: The answer is an error, or not what a replica answers.
    """

    def convert(body: Any) -> list[Prediction]:
        found = [_prediction(one, body, answer) for one in body["predictions"]]
        if len(found) != count:
            raise ValueError(f"{len(found)} predictions for {count} rows")
        return found

    return _read(answer, convert)


def read_labels(answer: httpx.Response, count: int) -> list[str]:
    """The labels that stand for a request of `count` rows, in order.

    Raises:
        ReplicaError: The answer is an error, or not what a replica answers.
    """

    def convert(body: Any) -> list[str]:
        found = body["label"] if isinstance(body["label"], list) else [body["label"]]
        if len(found) != count:
            raise ValueError(f"{len(found)} labels for {count} rows")
        return [str(one) for one in found]

    return _read(answer, convert)


def read_metadata(answer: httpx.Response) -> Metadata:
    """What `GET /v2` tells.

    Raises:
        ReplicaError: The answer is an error, or not what a replica answers.
    """

    def convert(body: Any) -> Metadata:
        return Metadata(
            body["name"],
            body["version"],
            tuple(body["extensions"]),
            answer.headers["x-model-version"],
            answer.headers["x-model-digest"],
        )

    return _read(answer, convert)


def _prediction(found: Any, body: Any, answer: httpx.Response) -> Prediction:
    label, scores = found["label"], found["scores"]
    if label not in scores:
        raise ValueError(f"no score for `{label}`")
    digest = answer.headers["x-model-digest"]
    return Prediction(label, scores, body["version"], digest, body["request_id"])


def _read(answer: httpx.Response, convert: Callable[[Any], T]) -> T:
    if answer.status_code != httpx.codes.OK:
        raise _refusal(answer)
    try:
        return convert(json.loads(answer.content))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnexpectedAnswerError(
            f"this is not how a replica answers ({error!r}): {_excerpt(answer)}",
            where=str(answer.url),
            hint="check the address: it must be a replica's, or its gateway's",
            status=answer.status_code,
            request_id=answer.headers.get("x-request-id"),
        ) from None


def _refusal(answer: httpx.Response) -> ReplicaError:
    """The error of a status other than 200, from a replica or from what stands before it."""
    status = answer.status_code
    body = _error_body(answer)
    kind = body.get("kind") or f"http {status}"
    hint = body.get("next")
    if not body and status == httpx.codes.NOT_FOUND:
        hint = "check the address: it must be a replica's, or its gateway's"
    return _class_of(status, kind)(
        body.get("error") or f"HTTP {status}: {_excerpt(answer)}",
        where=str(answer.url),
        hint=hint,
        kind=kind,
        status=status,
        request_id=body.get("request_id") or answer.headers.get("x-request-id"),
        retry_after=_seconds(answer.headers.get("retry-after")),
    )


def _class_of(status: int, kind: str) -> type[ReplicaError]:
    if kind == "deadline" or status in (408, 504):
        return DeadlineExceededError
    if status in (429, 503):
        return OverloadedError
    if kind == "failed":
        return ModelFailedError
    return InvalidRequestError if 400 <= status < 500 else UnexpectedAnswerError


def _error_body(answer: httpx.Response) -> dict[str, str]:
    """The replica's error object; empty for an answer of something else, such as a proxy."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return {}
    ours = isinstance(body, dict) and {"error", "kind"} <= body.keys()
    return {name: str(value) for name, value in body.items()} if ours else {}


def _excerpt(answer: httpx.Response) -> str:
    text = " ".join(answer.text.split())
    return (text[:_SHOWN] + "...") if len(text) > _SHOWN else (text or "an empty answer")


def _seconds(header: str | None) -> float | None:
    """`Retry-After` in seconds; its other form, a date, says nothing without a common clock."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
