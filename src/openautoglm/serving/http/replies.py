"""Bytes of an answer: status line and headers, most of them rendered once."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from time import time
from typing import Any

import orjson

from openautoglm.serving.observe.load import Load
from openautoglm.serving.predictor import Identity
from openautoglm.serving.refusals import Refusal

JSON = b"application/json"
STATUSES = {
    status: str(status) for status in (200, 400, 404, 405, 408, 413, 415, 429, 431, 500, 503)
}
_SECONDS = 1.0  # a Date header changes once a second


class Replies:
    """Renders answers of one replica.

    Args:
        identity: Named in every answer.
        load: Told to the gateway in every prediction.
    """

    def __init__(self, identity: Identity, load: Load) -> None:
        common = f"x-model-version: {identity.version}\r\nx-model-digest: {identity.digest}\r\n"
        self._heads = {
            status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{common}".encode()
            for status in STATUSES
        }
        self._load = load
        self._date, self._dated = b"", 0.0

    def render(
        self,
        status: int,
        body: bytes,
        *,
        request_id: str,
        now: float,
        content_type: bytes = JSON,
        extra: bytes = b"",
        load: bool = False,
        body_sent: bool = True,
    ) -> bytes:
        """A whole answer.

        Args:
            status: Its code.
            body: Its body.
            request_id: Echoed.
            now: `perf_counter` seconds.
            content_type: The body's.
            extra: Further header lines, each with its line end.
            load: Whether the gateway is told how busy the model is.
            body_sent: False for HEAD.
        """
        if now - self._dated > _SECONDS:
            self._dated = now
            self._date = f"date: {formatdate(time(), usegmt=True)}\r\n".encode()
        if load:
            extra = b"%bendpoint-load-metrics: %b\r\n" % (extra, self._load.header(now))
        return b"%b%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b" % (
            self._heads[status],
            self._date,
            content_type,
            len(body),
            request_id.encode(),
            extra,
            body if body_sent else b"",
        )


def refusal_body(refusal: Refusal, request_id: str) -> bytes:
    """What a client is told of a refusal; `error` is the string of the Open Inference Protocol."""
    told: dict[str, Any] = {
        "error": refusal.message,
        "kind": refusal.kind.name,
        "request_id": request_id,
    }
    if refusal.hint:
        told["next"] = refusal.hint
    return orjson.dumps(told)
