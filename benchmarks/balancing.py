"""How the gateway picks a replica, when one of four is slower than the others.

    python benchmarks/balancing.py [--seconds 10]

Four backends answer 400, 400, 400 and 280 requests a second, one after the other, and tell their
load as a replica does; 100 clients ask in a closed loop, through one real Envoy, with each policy
in turn. Round robin gives the slow one a quarter of the requests: soon all clients wait there, and
no more than 4 * 280 requests a second are answered. No policy can answer more than the sum, 1,480:
1.32 times as many. Measuring begins after ten seconds: load-weighted shares take some to settle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, get_args

import load
import uvloop
import wire
from document import described, table

from openautoglm.config.service import Gateway
from openautoglm.routing.envoy import admin, bootstrap
from openautoglm.routing.envoy.router import EnvoyRouter
from openautoglm.routing.routes import Endpoint, Routes
from openautoglm.serving.observe.load import Load

Policy = Literal["round_robin", "least_request", "load_weighted"]

HOST = "127.0.0.1"
CAPACITIES = (400, 400, 400, 280)
CLIENTS = 100
WARMUP = 10.0
QUEUE = 512
"""Requests that a backend's queue holds, for the share of it that is taken."""
IDLE = 75.0


def main() -> None:
    """Measure each policy and print how they compare with round robin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    print(described())
    results = {policy: measured(policy, given.seconds) for policy in get_args(Policy)}
    print(table(("", "requests/s", "mean ms", "p99 ms", "rate", "p99"), compared(results)))


def compared(results: dict[Policy, load.Result]) -> Iterator[tuple[str, ...]]:
    """A row a policy; the last two columns are ratios to round robin."""
    base = results["round_robin"]
    for policy, one in results.items():
        rate, slow = one.rate(), one.percentile(99)
        yield (
            policy,
            f"{rate:,.0f}",
            f"{one.of().mean():.0f}",
            f"{slow:.0f}",
            f"{rate / base.rate():.2f}",
            f"{slow / base.percentile(99):.2f}",
        )


def measured(policy: Policy, seconds: float) -> load.Result:
    """Fresh backends and a fresh gateway, all clients through it."""
    with backends() as endpoints, gateway(policy, endpoints) as port:
        request = wire.post("/v1/predict", b"{}")
        return load.closed(
            (HOST, port), [request], connections=CLIENTS, seconds=seconds, warmup=WARMUP
        )


@contextmanager
def gateway(policy: Policy, endpoints: tuple[Endpoint, ...]) -> Iterator[int]:
    """One Envoy before the endpoints; its port."""
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as name:
        folder, place = Path(name), Path(name) / "gateway.sock"
        settings = Gateway(port=free_port(), processes=1, balancing=policy)
        router = EnvoyRouter(folder, settings, replica_idle_seconds=IDLE, admins=lambda: [place])
        router.apply(Routes({"v": endpoints}, {"v": 100}))
        told = folder / "bootstrap.json"
        told.write_text(json.dumps(bootstrap.render(folder, admin=place)))
        running = subprocess.Popen(bootstrap.command(told))
        try:
            while not admin.ready(place):
                time.sleep(0.01)
            yield settings.port
        finally:
            running.kill()
            running.wait()


@contextmanager
def backends() -> Iterator[tuple[Endpoint, ...]]:
    """All of them in one other process, which works little: they mostly wait."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield tuple(Endpoint(HOST, port) for port in ours.recv())
    finally:
        process.kill()
        process.join()


def serve(parent: Connection) -> None:
    """A process: listens for all backends, tells their ports."""
    uvloop.run(_serve(parent))


async def _serve(parent: Connection) -> None:
    loop = asyncio.get_running_loop()
    ports = []
    for capacity in CAPACITIES:
        queue = Queue(capacity, loop)
        server = await loop.create_server(lambda queue=queue: Client(queue), HOST, 0, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    parent.send(ports)
    await asyncio.Event().wait()


class Queue:
    """A backend: serves one request after the other, each in the same time."""

    def __init__(self, capacity: float, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = 1 / capacity
        self._loop = loop
        self._free_at = 0.0
        self._waiting = 0
        self._load = Load(lambda: self._waiting / QUEUE, loop.time())

    def take(self, client: Client) -> None:
        """Answer when all that came before, and this one, were served."""
        self._waiting += 1
        self._free_at = max(self._loop.time(), self._free_at) + self._seconds
        self._loop.call_at(self._free_at, self._answer, client)

    def _answer(self, client: Client) -> None:
        self._waiting -= 1
        self._load.busy(self._seconds)
        self._load.answered(ok=True)
        report = self._load.header(self._loop.time())
        client.answer(b"endpoint-load-metrics: %b\r\ncontent-length: 2\r\n\r\n{}" % report)


class Client(asyncio.Protocol):
    """A connection of the gateway's: a request, an answer, the next request."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Queue the request once it is whole; all of them have the same body."""
        self._data += data
        if self._data.endswith(b"\r\n\r\n{}"):
            self._data = b""
            self._queue.take(self)

    def answer(self, rest: bytes) -> None:
        """Write an answer."""
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 200 OK\r\n" + rest)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return found.getsockname()[1]


if __name__ == "__main__":
    main()
