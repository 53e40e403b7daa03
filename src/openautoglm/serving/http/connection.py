"""One client connection: requests in, answers out in their order, and when to close."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, cast

from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.http.reader import Reader
from openautoglm.serving.observe.context import make_context
from openautoglm.serving.refusals import INVALID, OVERLOADED, SLOW, Refusal

if TYPE_CHECKING:
    from openautoglm.serving.http.server import HttpServer

_PIPELINED = 32  # requests on one connection that may wait for their answers
_LINGER_SECONDS = 2.0  # for a client to read why it was refused before it has sent everything


class Connection(asyncio.Protocol):
    """The protocol of one connection.

    Attributes:
        server: Whose connection it is.
        admitted: False for one too many, which is told so and closed.
        expires: `perf_counter` seconds after which the server calls `overdue`.
    """

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.admitted = False
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
        self._await_request()
        self.admitted = self.server.admit(self)
        if self.server.draining:  # it was accepted just before the listener was closed
            self.drain()

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
            self.refuse(refusal)

    def eof_received(self) -> bool:
        """A client that closes its side has given up, as others have it too: so do we."""
        return False

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
                exchange.job = None
        self._exchanges.clear()
        self._reader.close()
        self._unread = 0
        server.hold(-held)
        server.forget(self)

    def pause_writing(self) -> None:
        """The client does not read its answers: neither do we read its requests."""
        self._unread = self._transport.get_write_buffer_size()
        self.server.hold(self._unread)
        self._expire_in(self.server.limits.request_seconds)
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self.server.hold(-self._unread)
        self._unread = 0
        if self._closing:
            self._expire_in(_LINGER_SECONDS)
        else:
            self._await_request()
        self._transport.resume_reading()

    # The reader calls these.

    def begin(self) -> Exchange:
        """A request begins to arrive.

        Raises:
            Refusal: OVERLOADED, when too many of this client wait already or it does not read its
                answers; INVALID after a last request, told to nobody.
        """
        exchanges = self._exchanges
        if self._closing or (exchanges and not exchanges[-1].keep_alive):
            raise Refusal(INVALID, "the last request of this connection was here")
        if self._unread:
            raise Refusal(OVERLOADED, "answers of this connection are not read")
        if len(exchanges) >= _PIPELINED:
            raise Refusal(OVERLOADED, f"{_PIPELINED} requests of this connection wait already")
        self._expire_in(self.server.limits.request_seconds)
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

    def answered(self, exchange: Exchange) -> None:
        """Send what is ready, up to the first request that has no answer yet."""
        exchanges = self._exchanges
        if exchanges and exchange is not exchanges[0]:
            self._keep(exchange)
            return
        while exchanges and (ready := exchanges[0].ready) is not None:
            first = exchanges.popleft()
            if first.held:
                self.server.hold(-first.held)
            self._transport.write(ready)
            if not first.keep_alive:
                self._close()
                break
        if self._unread:
            self._recount()
        elif not exchanges and not self._closing:
            self._await_request()

    # The server calls these.

    def overdue(self) -> None:
        """Its time is up: say so to a client that sends slowly, and close."""
        seconds = self.server.limits.request_seconds
        if self._unread:
            self._transport.abort()
        elif self._exchanges:  # the deadline of the request itself answers these
            self._expire_in(seconds)
        elif self._closing:
            self._transport.abort()
        elif self._reader.current is not None:
            self.refuse(Refusal(SLOW, f"the request was not here within {seconds:g} s"))
        else:
            self._close()

    def drain(self) -> None:
        """Close as soon as nothing is under way."""
        if self._closing or self._reader.current is not None:
            return  # the answer to the request that arrives will be the last
        if self._exchanges:
            self._exchanges[-1].keep_alive = False
        else:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._transport.abort()

    def refuse(self, refusal: Refusal) -> None:
        """Answer what cannot become a request, after what came before it, and close."""
        exchange, self._reader.current = self._reader.current or Exchange(self), None
        exchange.keep_alive = False
        self._closing = True
        self._enter(exchange)
        exchange.refuse(refusal)

    def _enter(self, exchange: Exchange) -> None:
        headers = exchange.headers
        exchange.context = make_context(
            protocol="http",
            request_id=headers.get(b"x-request-id"),
            traceparent=headers.get(b"traceparent"),
            ratio=self.server.trace_ratio,
        )
        self._exchanges.append(exchange)

    def _keep(self, exchange: Exchange) -> None:
        """Hold an answer that waits for those before it; of its request nothing is needed."""
        assert exchange.ready is not None
        exchange.headers, exchange.body, exchange.path = {}, b"", b""
        size = len(exchange.ready)
        room = self.server.hold(size - exchange.held)
        exchange.held = size
        if not room:
            self.abort()

    def _recount(self) -> None:
        """Account for answers that were added to those the client does not read."""
        size = self._transport.get_write_buffer_size()
        room = self.server.hold(size - self._unread)
        self._unread = size
        if not room:
            self.abort()

    def _close(self) -> None:
        lingers = self._closing and self._transport.can_write_eof()
        self._closing = True
        if lingers:
            # Closing now, with bytes of the client unread, would reset the connection and the
            # client would never see the answer.
            self._transport.write_eof()
        else:
            self._transport.close()
        if not self._unread:
            self._expire_in(_LINGER_SECONDS if lingers else self.server.limits.request_seconds)

    def _await_request(self) -> None:
        """Give the client time for its next request, or for the rest of one that arrives."""
        limits = self.server.limits
        arriving = self._reader.current is not None
        self._expire_in(limits.request_seconds if arriving else limits.idle_seconds)

    def _expire_in(self, seconds: float) -> None:
        self.expires = perf_counter() + seconds
