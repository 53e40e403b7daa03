"""Bytes of one connection to requests, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import httptools

from openautoglm.config.serving import Limits
from openautoglm.serving.http.exchange import HEADERS, Exchange
from openautoglm.serving.refusals import HEADERS as HEADERS_TOO_LARGE
from openautoglm.serving.refusals import INVALID, OVERLOADED, TOO_LARGE, UNSUPPORTED, Refusal

_AROUND = 4  # bytes between and behind the name and the value of a header
_LINE = 24  # bytes of a request line around its target, with the longest method


class Receiver(Protocol):
    """The connection whose bytes are read."""

    def begin(self) -> Exchange:
        """A request begins; may refuse."""

    def proceed(self) -> None:
        """The client waits for a word before it sends the body."""

    def received(self, exchange: Exchange) -> None:
        """A request is whole."""


class Reader:
    """Feeds `httptools`, which calls the methods named `on_...`.

    Args:
        receiver: Gets the requests.
        limits: Bounds on head and body.
        hold: Accounts for bytes that are kept; whether there was room.

    Attributes:
        current: The request that is arriving.
    """

    def __init__(self, receiver: Receiver, limits: Limits, hold: Callable[[int], bool]) -> None:
        self.current: Exchange | None = None
        self._receiver = receiver
        self._limits = limits
        self._hold = hold
        self._parser = httptools.HttpRequestParser(self)
        self._refusal: Refusal | None = None
        self._target = b""
        self._head_bytes = 0
        self._in_head = False
        self._body_bytes = 0
        self._unfinished = 0

    def feed(self, data: bytes) -> Refusal | None:
        """Read on; why the connection must be refused, if it must."""
        before, told = self.current, self._head_bytes
        self._body_bytes = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            # What a callback raised arrives here too, in httptools' wrapping.
            return self._refusal or Refusal(INVALID, f"this is no HTTP/1.1 request: {error}")
        if self.current is None:
            return None
        # A header or trailer that never ends is seen by nobody but the parser, which keeps it.
        if self._in_head:
            line = data.rfind(b"\n") + 1
            start = 0 if line or self.current is not before else self._unfinished
            # The head may begin behind a body in which no line ends.
            self._unfinished = start + max(0, len(data) - line - self._body_bytes)
            known = self._head_bytes
        elif self.current is before and self._head_bytes == told and not self._body_bytes:
            self._unfinished += len(data)
            known = 0
        else:
            self._unfinished = 0
            return None
        if known + self._unfinished > self._limits.header_bytes:
            return self._too_many_headers()
        return None

    def close(self) -> None:
        """Let go of everything: parser and reader know each other, and would live on as a cycle."""
        self.current = None
        del self._parser, self._receiver

    def http_1_0(self) -> bool:
        """Whether the client speaks HTTP/1.0, where keeping a connection must be said."""
        return bool(self._parser.get_http_version() == "1.0")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        try:
            self.current = self._receiver.begin()
        except Refusal as refusal:
            self._refuse(refusal)
        self._target = b""
        self._head_bytes = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer: those are dropped, or they could change what was checked."""
        self._head_bytes += len(name) + len(value) + _AROUND
        if not self._in_head:
            if self._head_bytes > self._limits.header_bytes:
                self._refuse(self._too_many_headers())
            return
        name = name.lower()
        if name in HEADERS:
            assert self.current is not None
            self.current.headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is whole: refuse before a byte of body is read."""
        self._in_head = False
        self._head_bytes += len(self._target) + _LINE
        assert self.current is not None
        headers = self.current.headers
        if self._head_bytes > self._limits.header_bytes:
            self._refuse(self._too_many_headers())
        if self._parser.should_upgrade():
            # httptools would take what follows, a body too, for the other protocol.
            only = "this port speaks HTTP/1.1 and no other protocol"
            self._refuse(Refusal(UNSUPPORTED, only, hint="send no `Upgrade`"))
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            self._refuse(self._too_large())
        if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
            self._refuse(Refusal(UNSUPPORTED, "the body is compressed", allowed="a body as it is"))
        if headers.get(b"expect", b"").lower() == b"100-continue" and not self.http_1_0():
            self._receiver.proceed()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        exchange = self.current
        assert exchange is not None
        self._body_bytes += len(body)
        exchange.held += len(body)
        room = self._hold(len(body))
        if exchange.held > self._limits.body_bytes:
            self._refuse(self._too_large())
        if not room:
            self._refuse(Refusal(OVERLOADED, "other requests fill the memory that bodies may take"))
        if not exchange.body:
            exchange.body = body
            return
        if type(exchange.body) is bytes:  # a body in many parts must not be copied at each
            exchange.body = bytearray(exchange.body)
        exchange.body += body

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange, self.current = self.current, None
        assert exchange is not None
        exchange.method = self._parser.get_method()
        exchange.path = self._target.partition(b"?")[0]
        exchange.keep_alive = self._parser.should_keep_alive()
        self._receiver.received(exchange)

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise refusal

    def _too_many_headers(self) -> Refusal:
        allowed = f"at most {self._limits.header_bytes} bytes"
        return Refusal(HEADERS_TOO_LARGE, "request line and headers are too long", allowed=allowed)

    def _too_large(self) -> Refusal:
        return Refusal(
            TOO_LARGE,
            "the body is too large",
            allowed=f"at most {self._limits.body_bytes} bytes",
            hint="send its rows in several requests",
        )
