"""From rows to requests: which address, which body, and how to read the answer."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import httpx

from openautoglm.client.answers import (
    Metadata,
    Prediction,
    read_labels,
    read_list,
    read_metadata,
    read_one,
)
from openautoglm.client.errors import InvalidRequestError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Row = str | Sequence[float]
_BODY = 1_000_000
"""Bytes of rows in one request: a replica takes a mebibyte, unless it was told otherwise."""
_ROWS_HINT = "give texts, or lists of finite numbers; of an array: array.tolist()"
T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Attributes:
        method: HTTP method.
        url: The whole address.
        read: From the answer to what the caller wants; raises ReplicaError.
        body: JSON; None for none.
        headers: The caller's own.
        rows: Which rows of a list these are, where the list is sent in parts.
    """

    method: str
    url: str
    read: Callable[[httpx.Response], T]
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    rows: range | None = None


class Endpoint:
    """The addresses of one replica, or of the gateway before several.

    Args:
        url: Scheme, host and port, and a path if a gateway serves it below one.
        rows: Most rows in one request.

    Raises:
        InvalidRequestError: That is no such address.
    """

    def __init__(self, url: str, *, rows: int) -> None:
        self.url = _checked(url)
        self._rows = rows

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine by its very name."""
        host = httpx.URL(self.url).host
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    def one(self, row: Row, headers: Mapping[str, str] | None) -> Call[Prediction]:
        """The request of a single row."""
        return self._predict(_encoded(row), row, read_one, headers)

    def many(
        self, rows: Iterable[Row], headers: Mapping[str, str] | None
    ) -> Iterator[Call[list[Prediction]]]:
        """The requests of many rows, in order, each made when it is asked for."""
        if isinstance(rows, str):
            raise TypeError("this is one text, not many: give a list, or call `predict`")
        for place, part, first in self._parts(rows):
            body = b"[" + b",".join(part) + b"]"
            read = partial(read_list, count=len(part))
            yield self._predict(body, first, read, headers, place)

    def _parts(self, rows: Iterable[Row]) -> Iterator[tuple[range, list[bytes], Row]]:
        """Place, JSON of each row and first row of parts that a replica takes."""
        part: list[bytes] = []
        first: Row = ""
        start, size = 0, 0
        for place, row in enumerate(rows):
            encoded = _encoded(row, place)
            if part and (len(part) == self._rows or size + len(encoded) > _BODY):
                yield range(start, place), part, first
                part, start, size = [], place, 0
            if not part:
                first = row
            part.append(encoded)
            size += len(encoded) + 1
        if part:
            yield range(start, start + len(part)), part, first

    def feedback(self, request_id: str, labels: str | Sequence[str]) -> Call[list[str]]:
        """The labels of an answer that was given."""
        given = labels if isinstance(labels, str) else list(labels)
        body = json.dumps({"request_id": request_id, "label": given}, ensure_ascii=False).encode()
        count = 1 if isinstance(labels, str) else len(labels)
        read = partial(read_labels, count=count)
        return Call("POST", f"{self.url}/v1/feedback", read, body)

    def health(self, what: str) -> Call[bool]:
        """Whether the replica is `live` or `ready`."""
        return Call("GET", f"{self.url}/health/{what}", lambda answer: answer.status_code == 200)

    def metadata(self) -> Call[Metadata]:
        """What answers there."""
        return Call("GET", f"{self.url}/v2", read_metadata)

    def _predict(
        self,
        rows: bytes,
        first: Row,
        read: Callable[[httpx.Response], T],
        headers: Mapping[str, str] | None,
        place: range | None = None,
    ) -> Call[T]:
        key = b"text" if isinstance(first, str) else b"features"
        body = b'{"%b":%b}' % (key, rows)
        return Call("POST", f"{self.url}/v1/predict", read, body, headers, place)


def _encoded(row: Row, place: int | None = None) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f"this row cannot be sent as JSON: {error}",
            hint=_ROWS_HINT,
            kind="invalid",
            rows=None if place is None else range(place, place + 1),
        ) from None


def is_one(rows: Row | Sequence[Row]) -> TypeIs[Row]:
    """Whether this is a single row: one text, or the numbers of one row of features.

    Raises:
        InvalidRequestError: It is neither a row nor a list of rows.
    """
    if isinstance(rows, str):
        return True
    if not isinstance(rows, Sequence):
        raise InvalidRequestError(
            f"found {type(rows).__name__}, which is neither a row nor a list of rows",
            hint=_ROWS_HINT,
            kind="invalid",
        )
    return len(rows) > 0 and isinstance(rows[0], int | float)


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL()
    is_http = parsed.scheme in ("http", "https") and (parsed.port or 1) < 1 << 16
    if not is_http or not parsed.host or parsed.query:
        raise InvalidRequestError(
            f"`{url}` is no address of a replica",
            hint="give scheme, host and port: http://127.0.0.1:8080",
            kind="invalid",
        )
    return str(parsed.copy_with(fragment=None)).rstrip("/")
