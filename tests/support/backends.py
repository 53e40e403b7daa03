"""Real HTTP backends that say who they are, and clients that keep asking.

In this process, one event loop for all of them, or one each: `python -m tests.support.backends`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from subprocess import PIPE, Popen
from typing import NamedTuple, Self

from openautoglm.routing.routes import Endpoint
from tests.support.ports import HOST
from tests.support.wait import PATIENCE


class Backend:
    """Answers every request with its name in `x-backend`.

    Attributes:
        name: What it says.
        port: Where it listens.
        seen: Heads of the requests that came.
        status: Of its answers; None never answers.
        load: Its ORCA report, if it makes one.
        capacity: Requests a second, one after the other; None answers at once.
        latency: Seconds that each request takes at least, any number at a time.
        holds: Whether requests wait until they are let go.
        connections: Those that are open.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.seen: list[str] = []
        self.status: int | None = 200
        self.load: str | None = None
        self.capacity: float | None = None
        self.latency = 0.0
        self.holds = False
        self.held: list[_Connection] = []
        self.connections: set[asyncio.Transport] = set()
        self._free_at = 0.0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(HOST, self.port)

    async def listen(self, port: int = 0) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self, loop), HOST, port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def due(self, now: float) -> float:
        """When a request that comes now is answered: after all that came before."""
        if self.capacity is None:
            return now + self.latency
        self._free_at = max(now, self._free_at) + 1 / self.capacity
        return self._free_at

    def answer(self) -> bytes:
        load = f"endpoint-load-metrics: TEXT {self.load}\r\n" if self.load else ""
        return (
            f"HTTP/1.1 {self.status} Some\r\nx-backend: {self.name}\r\nx-model-digest: d\r\n{load}"
            f"content-length: {len(self.name)}\r\n\r\n{self.name}"
        ).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
        self._backend, self._loop = backend, loop
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._backend.connections.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._backend.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            length = _length(head)
            if not end or len(rest) < length:
                return
            self._data = rest[length:]
            self._backend.seen.append(head.decode())
            if self._backend.holds:
                self._backend.held.append(self)
            elif self._backend.status is not None:
                due = self._backend.due(self._loop.time())
                self._loop.call_at(due, self.answer)

    def answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._backend.answer())


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def _end(server: asyncio.Server, backend: Backend) -> None:
    server.close()
    while backend.connections:
        for transport in list(backend.connections):
            transport.abort()
        await asyncio.sleep(0)
    await server.wait_closed()


class Backends:
    """Backends that live in a thread of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._running: dict[Backend, asyncio.Server] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for backend in list(self._running):
            self.end(backend)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, name: str) -> Backend:
        """A backend that listens."""
        backend = Backend(name)
        future = asyncio.run_coroutine_threadsafe(backend.listen(), self._loop)
        self._running[backend] = future.result()
        return backend

    def let_go(self, backend: Backend) -> None:
        """Answer what it holds, and what comes from now on."""

        def answer() -> None:
            backend.holds = False
            for connection in backend.held:
                connection.answer()

        self._loop.call_soon_threadsafe(answer)

    def end(self, backend: Backend) -> None:
        """Close its port and break its connections."""
        server = self._running.pop(backend)
        asyncio.run_coroutine_threadsafe(_end(server, backend), self._loop).result()


@contextmanager
def process(name: str, *, latency: float = 0) -> Iterator[tuple[Popen[str], Endpoint]]:
    """A backend with a process of its own, which a test may kill."""
    command = [sys.executable, "-m", "tests.support.backends", name, "--latency", str(latency)]
    with Popen(command, stdout=PIPE, text=True) as running:
        try:
            assert running.stdout
            yield running, Endpoint(HOST, int(running.stdout.readline()))
        finally:
            running.kill()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def backend(self) -> str:
        return self.headers.get("x-backend", "")


def ask(port: int, path: str = "/v1/predict", **headers: str) -> Answer:
    """One request over a connection of its own; `x_request_id` is a header's name."""
    with closing(HTTPConnection(HOST, port, timeout=PATIENCE)) as connection:
        return exchange(connection, path, headers)


def exchange(
    connection: HTTPConnection, path: str = "/v1/predict", headers: Mapping[str, str] | None = None
) -> Answer:
    """One request over a connection that is kept."""
    given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    connection.request("POST", path, b"{}", given)
    with connection.getresponse() as answer:
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, told, answer.read())


class Traffic:
    """Clients that ask again and again, each over a connection that it keeps.

    Attributes:
        answers: How many, by status and backend.
        broken: What went wrong without an answer.
    """

    def __init__(self, port: int, clients: int = 4) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.broken: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return sum(self.answers.values()) + len(self.broken)

    @property
    def failed(self) -> list[str]:
        """Every request that got no 200."""
        bad = [f"{status} {name}" for status, name in self.answers if status != 200]
        return bad + self.broken

    def _client(self) -> None:
        connection = HTTPConnection(HOST, self._port, timeout=PATIENCE)
        while not self._stop.is_set():
            try:
                answer = exchange(connection)
                self.answers[answer.status, answer.backend] += 1
            except (OSError, HTTPException) as error:
                self.broken.append(repr(error))
                connection.close()
        connection.close()


async def _serve(name: str, capacity: float | None, latency: float) -> None:
    backend = Backend(name)
    backend.capacity, backend.latency = capacity, latency
    async with await backend.listen() as server:
        print(backend.port, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--capacity", type=float)
    parser.add_argument("--latency", type=float, default=0)
    given = parser.parse_args()
    asyncio.run(_serve(given.name, given.capacity, given.latency))
