"""One request and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from openautoglm.serving.batching.job import Job
from openautoglm.serving.http.replies import JSON, STATUSES, refusal_body
from openautoglm.serving.observe.context import Context
from openautoglm.serving.observe.observer import SHED
from openautoglm.serving.refusals import INVALID, Refusal

if TYPE_CHECKING:
    from openautoglm.serving.http.connection import Connection

_ENVOY = b"x-envoy-expected-rq-timeout-ms"
_TIMEOUT = b"x-request-timeout-ms"
HEADERS = frozenset(
    {
        *(b"x-request-id", b"traceparent", b"content-length", b"content-encoding", b"expect"),
        *(b"accept", b"connection", b"inference-header-content-length", _TIMEOUT),
        _ENVOY,
    }
)
"""The headers that are looked at; others are dropped as they come."""
_LONGEST_TIMEOUT = 600_000
_LONGEST_NUMBER = 20


class Exchange:
    """A request that is being answered.

    Attributes:
        method: `b"POST"`.
        path: The target without its query.
        headers: Those of `HEADERS` that came, by lower-case name.
        body: All of it.
        context: Ids and times.
        job: What the model does for it.
        ready: The answer, once there is one.
        keep_alive: Whether the connection stays open after the answer.
        held: Bytes that are accounted for.
    """

    __slots__ = (
        *("connection", "method", "path", "headers", "body", "context", "job"),
        *("ready", "keep_alive", "held"),
    )

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.method = b""
        self.path = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: bytes | bytearray = b""
        self.context: Context
        self.job: Job | None = None
        self.ready: bytes | None = None
        self.keep_alive = True
        self.held = 0

    def timeout(self, own: float, asked: float | None = None) -> float:
        """Seconds this request may take.

        A client may ask for more than the replica's own; the gateway's time-out, of which its
        clients know nothing, only ever makes it less.

        Args:
            own: What the replica allows a client that does not ask.
            asked: What the body asks for.

        Raises:
            Refusal: The header is no positive whole number of milliseconds.
        """
        found = [] if asked is None else [asked]
        given = self.headers.get(_TIMEOUT)
        if given is not None:
            value = _milliseconds(given)
            if not 1 <= value <= _LONGEST_TIMEOUT:
                raise Refusal(
                    INVALID,
                    f"found `{given[:32].decode('latin-1')}`",
                    where=f"header {_TIMEOUT.decode()}",
                    allowed=f"whole milliseconds from 1 to {_LONGEST_TIMEOUT}",
                )
            found.append(value / 1e3)
        longest = min(found, default=own)
        gateway = _milliseconds(self.headers.get(_ENVOY, b""))
        return min(longest, gateway / 1e3) if gateway else longest

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Refusal: It is no JSON, no UTF-8, or nested too deeply.
        """
        return read_json(self.body, self.connection.server.predictor.limits.depth)

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        content_type: bytes = JSON,
        headers: Mapping[str, str] | None = None,
        kind: str | None = None,
    ) -> None:
        """Answer; a second answer to one request is a fault of ours."""
        assert self.ready is None
        now = perf_counter()
        extra = (
            "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
        )
        if not self.keep_alive:
            extra += "connection: close\r\n"
        elif b"connection" in self.headers and self.connection.http_1_0():
            extra += "connection: keep-alive\r\n"
        server = self.connection.server
        self.ready = server.replies.render(
            status,
            body,
            request_id=self.context.request_id,
            now=now,
            content_type=content_type,
            extra=extra.encode(),
            load=self.job is not None or kind in SHED,
            body_sent=self.method != b"HEAD",
        )
        server.predictor.observer.answered(self.context, STATUSES[status], now, self.job, kind)
        self.connection.answered(self)

    def settle(self, answer: Callable[[Exchange, Job], None], job: Job) -> None:
        """Have `answer` answer with what the model found, or tell why it found nothing."""
        self.job = job
        if job.refusal is not None:
            self.refuse(job.refusal)
            return
        try:
            answer(self, job)
        except Exception as error:  # other requests of the batch still wait to be told
            self.connection.server.fault(self, error)

    def refuse(self, refusal: Refusal, headers: Mapping[str, str] | None = None) -> None:
        """Answer with an error."""
        if refusal.kind.again:
            headers = {"retry-after": str(refusal.retry_after)}
        body = refusal_body(refusal, self.context.request_id)
        if refusal.__cause__ is not None:
            self.connection.server.predictor.observer.failed(self.context, refusal)
        self.reply(refusal.kind.http, body, headers=headers, kind=refusal.kind.name)


def read_json(body: bytes | bytearray, depth: int) -> Any:
    """Decode JSON whose lists and objects lie at most `depth` inside one another.

    Raises:
        Refusal: INVALID.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = "GET /openapi.json shows what to send"
        raise Refusal(INVALID, f"the body is no JSON: {error}", hint=hint) from None
    # Brackets inside of strings count too: this only says when a closer look is needed.
    if body.count(b"[") + body.count(b"{") > depth and _deeper(value, depth):
        raise Refusal(INVALID, "the body is nested too deeply", allowed=f"depth {depth}")
    return value


def _deeper(value: Any, depth: int) -> bool:
    level = [value] if isinstance(value, list | dict) else []
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, list | dict)
        ]
    return bool(level)


def _milliseconds(given: bytes) -> int:
    """A header's number; 0 where it is none."""
    return int(given) if given.isdigit() and len(given) <= _LONGEST_NUMBER else 0
