"""One client connection: requests in, answers out in their order, and when to close."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, cast

from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.http.reader import Reader
from openautoglm.serving.observe.context import make_context
from openautoglm.serving.refusals import OVERLOADED, SLOW, Refusal

if TYPE_CHECKING:
    from openautoglm.serving.http.server import HttpServer

_PIPELINED = 32  # requests on one connection that may wait for their answers
_LINGER_SECONDS = 2.0  # for a client to read why it was refused before it has sent everything


class Connection(asyncio.Protocol):
    """The protocol of one connection.

    Attributes:
        server: Whose connection it is.
        expires: `perf_counter` seconds after which the server calls `overdue`.
    """

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.expires = 0.0
        self._transport: asyncio.Transport
        self._reader = Reader(self, server.limits, server.hold)
        self._exchanges: deque[Exchange] = deque()
        self._closing = False
        self._unread = 0

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; one too many is told so."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's derives from nothing
        self._idle()
        refusal = self.server.admit(self)
        if refusal is not None:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        """Read on, unless nothing more is wanted of this client."""
        if self._closing:
            return
        refusal = self._reader.feed(data)
        if refusal is None or self._closing:
            return
        if self._exchanges and not self._exchanges[-1].keep_alive:
            self._closing = True  # bytes after a last request mean nothing
        else:
            self._refuse(refusal)

    def eof_received(self) -> bool:
        """A client that sends no more may still read: keep what is under way."""
        if self._closing or not self._exchanges:
            return False
        self._exchanges[-1].keep_alive = False
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits any more for what is under way."""
        self._closing = True
        server = self.server
        arriving = self._reader.current
        held = self._unread + (arriving.held if arriving else 0)
        for exchange in self._exchanges:
            held += exchange.held
            if exchange.job is not None and exchange.ready is None:
                server.predictor.cancel(exchange.job)
        self._exchanges.clear()
        server.hold(-held)
        server.forget(self)

    def pause_writing(self) -> None:
        """The client does not read its answers: neither do we read its requests."""
        self._unread = self._transport.get_write_buffer_size()
        self.server.hold(self._unread)
        self.expires = perf_counter() + self.server.limits.request_seconds
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self.server.hold(-self._unread)
        self._unread = 0
        self._idle()
        self._transport.resume_reading()

    # The reader calls these.

    def begin(self) -> Exchange:
        """A request begins to arrive.

        Raises:
            Refusal: OVERLOADED, when too many of this client wait already.
        """
        if len(self._exchanges) >= _PIPELINED:
            raise Refusal(OVERLOADED, f"{_PIPELINED} requests of this connection wait already")
        self.expires = perf_counter() + self.server.limits.request_seconds
        return Exchange(self)

    def proceed(self) -> None:
        """Answer `Expect: 100-continue`."""
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def received(self, exchange: Exchange) -> None:
        """A request is whole: have it answered."""
        if self.server.draining:
            exchange.keep_alive = False
        self._enter(exchange)
        self.server.handle(exchange)

    # An exchange calls these.

    def http_1_0(self) -> bool:
        """Whether the client speaks HTTP/1.0."""
        return self._reader.http_1_0()

    def flush(self) -> None:
        """Send the answers that are ready, up to the first that is not."""
        exchanges = self._exchanges
        while exchanges and (ready := exchanges[0].ready) is not None:
            exchange = exchanges.popleft()
            if exchange.held:
                self.server.hold(-exchange.held)
            self._transport.write(ready)
            if not exchange.keep_alive:
                self._close()
                return
        if not exchanges and not self._unread:
            self._idle()

    # The server calls these.

    def overdue(self) -> None:
        """Its time is up: say so to a client that sends slowly, and close."""
        if self._closing or self._unread:
            self._transport.abort()
        elif self._exchanges:  # the deadline of the request itself answers these
            self.expires = perf_counter() + self.server.limits.request_seconds
        elif self._reader.current is not None:
            seconds = self.server.limits.request_seconds
            self._refuse(Refusal(SLOW, f"the request was not here within {seconds:g} s"))
        else:
            self._transport.close()

    def drain(self) -> None:
        """Close as soon as nothing is under way."""
        for exchange in self._exchanges:
            exchange.keep_alive = False
        if not (self._exchanges or self._reader.current or self._closing):
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _enter(self, exchange: Exchange) -> None:
        headers = exchange.headers
        exchange.context = make_context(
            protocol="http",
            request_id=headers.get(b"x-request-id"),
            traceparent=headers.get(b"traceparent"),
            ratio=self.server.trace_ratio,
        )
        self._exchanges.append(exchange)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot become a request, after what came before it, and close."""
        exchange, self._reader.current = self._reader.current or Exchange(self), None
        exchange.keep_alive = False
        self._closing = True
        self._enter(exchange)
        exchange.refuse(refusal)

    def _close(self) -> None:
        if self._closing and self._transport.can_write_eof():
            # Closing now, with bytes of the client unread, would reset the connection and the
            # client would never see the answer.
            self._transport.write_eof()
            self.expires = perf_counter() + _LINGER_SECONDS
        else:
            self._closing = True
            self._transport.close()

    def _idle(self) -> None:
        self.expires = perf_counter() + self.server.limits.idle_seconds
