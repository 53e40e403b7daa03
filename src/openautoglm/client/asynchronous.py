"""The client that lets an event loop go on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar, overload

import httpx

from openautoglm.client.answers import Metadata, Prediction
from openautoglm.client.calls import Endpoint, Row, is_one
from openautoglm.client.exchange import (
    IDLE,
    Exchange,
    Patience,
    Pause,
    Reply,
    Send,
    check,
    exchange,
    within,
)

T = TypeVar("T")


class AsyncClient:
    """A replica, or the gateway before several, for asyncio; one event loop, any number of tasks.

    Args:
        url: As in `Client`, as are all the others.
        timeout: Seconds for each request, with its attempts and the pauses between them.
        retries: Attempts after the first.
        connections: Most connections, and so most requests at once.
        rows: Most rows in one request; longer lists are sent in parts.
        at_once: Most parts of one list under way at once.
        headers: Sent with every request.
        transport: In place of httpx's own.
        sleep: How to wait between attempts.

    Raises:
        InvalidRequestError: `url` is no address.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        retries: int = 3,
        connections: int = 64,
        rows: int = 256,
        at_once: int = 2,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoint = Endpoint(url, rows=rows)
        self._patience = Patience(timeout, retries)
        self._at_once = at_once
        self._sleep = sleep
        self._free = asyncio.BoundedSemaphore(connections)
        self._http = httpx.AsyncClient(
            headers=headers,
            transport=transport,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=IDLE,
            ),
            trust_env=not self._endpoint.is_loopback,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # A str is a Sequence[str] too; the first overload is meant for it.
    @overload
    async def predict(  # type: ignore[overload-overlap]
        self,
        rows: Row,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Prediction: ...

    @overload
    async def predict(
        self,
        rows: Sequence[Row],
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[Prediction]: ...

    async def predict(
        self,
        rows: Row | Sequence[Row],
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict one row, or a list of rows: `Client.predict`."""
        patience = within(self._patience, timeout)
        if is_one(rows):
            call = self._endpoint.one(rows, headers)
            return await self._run(exchange(call, patience))
        return [one async for one in self.stream(rows, timeout=timeout, headers=headers)]

    async def stream(
        self,
        rows: Iterable[Row],
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Prediction]:
        """Predict any number of rows in bounded memory: `Client.stream`.

        Left early, it goes on to the end of what is under way, unless it is closed:
        `contextlib.aclosing`.
        """
        patience = within(self._patience, timeout)
        waiting: deque[asyncio.Task[list[Prediction]]] = deque()
        try:
            for call in self._endpoint.many(rows, headers):
                waiting.append(asyncio.create_task(self._run(exchange(call, patience))))
                if len(waiting) == self._at_once:
                    for one in await waiting.popleft():
                        yield one
            while waiting:
                for one in await waiting.popleft():
                    yield one
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def feedback(
        self, request_id: str, labels: str | Sequence[str], *, timeout: float | None = None
    ) -> list[str]:
        """Tell the label of an answer that was given: `Client.feedback`."""
        call = self._endpoint.feedback(request_id, labels)
        return await self._run(exchange(call, within(self._patience, timeout)))

    async def live(self, *, timeout: float | None = None) -> bool:
        """Whether a replica answers there, however busy it is."""
        calls = check(self._endpoint.health("live"), within(self._patience, timeout))
        return await self._run(calls)

    async def ready(self, *, timeout: float | None = None) -> bool:
        """Whether it takes requests: not while it starts or drains, nor when it is gone."""
        calls = check(self._endpoint.health("ready"), within(self._patience, timeout))
        return await self._run(calls)

    async def metadata(self, *, timeout: float | None = None) -> Metadata:
        """What answers there, and which model.

        Raises:
            ReplicaError: It does not say.
        """
        calls = exchange(self._endpoint.metadata(), within(self._patience, timeout))
        return await self._run(calls)

    async def _run(self, steps: Exchange[T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._do(step)

    async def _do(self, step: Send | Pause) -> Reply:
        if isinstance(step, Pause):
            await self._sleep(step.seconds)
            return None
        try:
            async with asyncio.timeout(step.left()), self._free:
                return await self._http.request(**step.arguments())
        except TimeoutError:
            return httpx.PoolTimeout("no answer in time")
        except httpx.RequestError as error:
            return error
