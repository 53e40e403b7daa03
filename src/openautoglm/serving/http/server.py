"""The listener and its connections: admission, what they hold, time-outs, drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Final

from openautoglm.serving.http.connection import Connection
from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.http.replies import Replies
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import FAILED, OVERLOADED, Refusal

_BACKLOG: Final = 1024
_SWEEP_SECONDS: Final = 0.5
_ON_THE_WAY_SECONDS: Final = 0.2  # for requests that were sent when the end was not known yet
_TURNED_AWAY: Final = 64  # connections too many that are told so at one time; more are just closed
Handle = Callable[[Exchange], None]


class HttpServer:
    """HTTP for one predictor.

    Args:
        predictor: The model.
        replies: Renders its answers.
        handle: Answers a request, now or later; a `Refusal` it raises becomes the answer.
        trace_ratio: Share of requests that are traced where the caller did not decide.

    Attributes:
        draining: Whether connections are closed after the answer they wait for.
    """

    def __init__(
        self, predictor: Predictor, replies: Replies, handle: Handle, *, trace_ratio: float
    ) -> None:
        self.predictor = predictor
        self.replies = replies
        self.limits = predictor.limits
        self.trace_ratio = trace_ratio
        self.draining = False
        self.buffered = 0
        """Bytes of bodies and unread answers."""
        self._handle = handle
        self._connections: set[Connection] = set()
        self._admitted = 0
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def start(self, listener: socket.socket) -> None:
        """Accept connections of a bound socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Connection(self), sock=listener, backlog=_BACKLOG
        )
        self._sweep()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; whether it is not one too many."""
        self._connections.add(connection)
        if self._admitted < self.limits.connections:
            self._admitted += 1
            return True
        # Those that read why take no place of others, and are few.
        if len(self._connections) - self._admitted > _TURNED_AWAY:
            connection.abort()
        else:
            told = f"{self.limits.connections} connections are open already"
            connection.refuse(Refusal(OVERLOADED, told))
        return False

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._admitted -= connection.admitted

    def hold(self, size: int) -> bool:
        """Account for bytes that are kept (or, below 0, no longer); whether there was room."""
        self.buffered += size
        return self.buffered <= self.limits.buffered_bytes

    def handle(self, exchange: Exchange) -> None:
        """Answer a request."""
        try:
            self._handle(exchange)
        except Refusal as refusal:
            exchange.refuse(refusal)
        except Exception as error:  # a fault of ours must cost this request only
            self.fault(exchange, error)

    def fault(self, exchange: Exchange, error: Exception) -> None:
        """Answer a request on which this program failed."""
        refusal = Refusal(FAILED, "this replica failed on the request")
        refusal.__cause__ = error
        if exchange.ready is None:
            exchange.refuse(refusal)
        else:
            self.predictor.observer.failed(exchange.context, refusal)

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let what is under way end, and close.

        A request that a client had sent before it could know is answered like any other, as the
        last of its connection.

        Args:
            seconds: After these what is left is cut off.
        """
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.sleep(_ON_THE_WAY_SECONDS)
                for connection in list(self._connections):
                    connection.drain()
                while self._connections:
                    await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        now = perf_counter()
        for connection in [one for one in self._connections if one.expires <= now]:
            connection.overdue()
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
