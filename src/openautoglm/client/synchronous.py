"""The client that waits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
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


class Client:
    """A replica, or the gateway before several. Threads may share one.

    Args:
        url: Scheme, host and port.
        timeout: Seconds for each request, with its attempts and the pauses between them. A long
            list is several requests, and each has this time.
        retries: Attempts after the first: after a refusal for overload (429, 503) and after a
            connection that failed. Predicting twice does no harm.
        connections: Most connections, and so most requests at once.
        rows: Most rows in one request; longer lists are sent in parts.
        at_once: Most parts of one list under way at once.
        headers: Sent with every request, such as `authorization`.
        transport: In place of httpx's own: a Unix socket, certificates of your own, a test.
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
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = Endpoint(url, rows=rows)
        self._patience = Patience(timeout, retries)
        self._at_once = at_once
        self._sleep = sleep
        self._free = BoundedSemaphore(connections)
        self._threads = ThreadPoolExecutor(connections, "openautoglm-client")
        self._http = httpx.Client(
            headers=headers,
            transport=transport,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=IDLE,
            ),
            trust_env=not self._endpoint.is_loopback,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, when what is under way has ended."""
        self._threads.shutdown(cancel_futures=True)
        self._http.close()

    # A str is a Sequence[str] too; the first overload is meant for it.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        rows: Row,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        rows: Sequence[Row],
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[Prediction]: ...

    def predict(
        self,
        rows: Row | Sequence[Row],
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict one row, or a list of rows.

        Args:
            rows: One text, or the numbers of one row of features; or a list of such rows.
            timeout: In place of the client's.
            headers: For this call, such as `x-request-id` or `traceparent`.

        Returns:
            One prediction for one row; for a list a list in the same order, empty for none.

        Raises:
            ReplicaError: There is no prediction; of a list there is then none at all.
        """
        patience = within(self._patience, timeout)
        if is_one(rows):
            call = self._endpoint.one(rows, headers)
            return self._run(exchange(call, patience))
        return list(self.stream(rows, timeout=timeout, headers=headers))

    def stream(
        self,
        rows: Iterable[Row],
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Prediction]:
        """Predict any number of rows in bounded memory: taken as needed, answered in order.

        Args:
            rows: Texts, or rows of features.
            timeout: In place of the client's, for each request.
            headers: For each request.

        Raises:
            ReplicaError: A part failed; those before it were answered. `rows` of the error says
                which part.
        """
        patience = within(self._patience, timeout)
        calls = self._endpoint.many(rows, headers)
        waiting: deque[Future[list[Prediction]]] = deque()
        try:
            for call in calls:
                waiting.append(self._threads.submit(self._run, exchange(call, patience)))
                if len(waiting) == self._at_once:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def feedback(
        self, request_id: str, labels: str | Sequence[str], *, timeout: float | None = None
    ) -> list[str]:
        """Tell the label of an answer that was given; telling it twice does no harm.

        Args:
            request_id: Of the prediction.
            labels: The right class; for a request of several rows one for each, in order.
            timeout: In place of the client's.

        Returns:
            The labels that stand: the first ones that anybody told.

        Raises:
            ReplicaError: They were not kept.
        """
        call = self._endpoint.feedback(request_id, labels)
        return self._run(exchange(call, within(self._patience, timeout)))

    def live(self, *, timeout: float | None = None) -> bool:
        """Whether a replica answers there, however busy it is."""
        return self._run(check(self._endpoint.health("live"), within(self._patience, timeout)))

    def ready(self, *, timeout: float | None = None) -> bool:
        """Whether it takes requests: not while it starts or drains, nor when it is gone."""
        return self._run(check(self._endpoint.health("ready"), within(self._patience, timeout)))

    def metadata(self, *, timeout: float | None = None) -> Metadata:
        """What answers there, and which model.

        Raises:
            ReplicaError: It does not say.
        """
        return self._run(exchange(self._endpoint.metadata(), within(self._patience, timeout)))

    def _run(self, steps: Exchange[T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self._do(step)

    def _do(self, step: Send | Pause) -> Reply:
        if isinstance(step, Pause):
            self._sleep(step.seconds)
            return None
        if not self._free.acquire(timeout=step.left()):
            return httpx.PoolTimeout("all connections are in use")
        try:
            return self._http.request(**step.arguments())
        except httpx.RequestError as error:
            return error
        finally:
            self._free.release()
