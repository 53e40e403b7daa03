"""How the gateway picks a replica, when one of four is slower than the others.

    python benchmarks/balancing.py [--seconds 10] [--write]

Four backends answer 400, 400, 400 and 280 requests a second, one after the other, and tell their
load as a replica does; 100 clients ask in a closed loop, through one real Envoy, with each policy
in turn. Round robin gives the slow one a quarter of the requests: soon all clients wait there.
Measuring begins after ten seconds: load-weighted shares take some to settle.
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
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, get_args

import load
import uvloop
import wire
from document import described, table, write_section

from openautoglm.config.gateway import Gateway
from openautoglm.config.serving import Serving
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


def main() -> None:
    """Measure each policy beside round robin; with `--write` into `docs/benchmarks.md` too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    given = parser.parse_args()
    head = f"{described()} {given.seconds:g} s each."
    results = {policy: measured(policy, given.seconds) for policy in get_args(Policy)}
    header = ("", "requests/s", "mean ms", "p99 ms", "rate", "p99")
    turns, most = len(CAPACITIES) * min(CAPACITIES), sum(CAPACITIES)
    bound = (
        f"Capacities of {', '.join(map(str, CAPACITIES))} requests/s bound round robin to "
        f"{turns:,}/s and any policy to {most:,}/s: {most / turns:.3f} times as many."
    )
    text = "\n\n".join([head, table(header, compared(results)), bound])
    print(text)
    if given.write:
        write_section("benchmarks/balancing.py", text)


def compared(results: dict[Policy, load.Result]) -> Iterator[tuple[str, ...]]:
    """A row a policy; the last two columns are ratios to round robin."""
    base = results["round_robin"]
    for policy, one in results.items():
        rate, slow = one.rate(), one.percentile(99)
        told = [f"{figure:,.0f}" for figure in (rate, one.of().mean(), slow)]
        yield policy, *told, f"{rate / base.rate():.2f}", f"{slow / base.percentile(99):.2f}"


def measured(policy: Policy, seconds: float) -> load.Result:
    """Fresh backends and a fresh gateway, all clients through it."""
    settings = Gateway(port=free_port(), processes=1, balancing=policy)
    with backends() as endpoints, gateway(settings) as (router, _):
        router.apply(Routes({"v": endpoints}, {"v": 100}))
        request, address = wire.post("/v1/predict", b"{}"), (HOST, settings.port)
        return load.closed(address, [request], connections=CLIENTS, seconds=seconds, warmup=WARMUP)


@contextmanager
def gateway(settings: Gateway) -> Iterator[tuple[EnvoyRouter, list[subprocess.Popen[bytes]]]]:
    """Envoys with the product's own files, ready: what gives them routes, and their processes.

    Raises:
        RuntimeError: One ended; it has told why.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as name, ExitStack() as stack:
        folder = Path(name)
        admins = [folder / f"gateway-{number}.sock" for number in range(settings.processes)]
        idle = Serving().limits.idle_seconds
        router = EnvoyRouter(folder, settings, replica_idle_seconds=idle, admins=lambda: admins)
        router.prepare()
        for place in admins:
            told = place.with_suffix(".json")
            told.write_text(json.dumps(bootstrap.render(folder, admin=place)))
            processes.append(stack.enter_context(subprocess.Popen(bootstrap.command(told))))
            stack.callback(processes[-1].kill)
        while not all(map(admin.ready, admins)):
            if any(one.poll() is not None for one in processes):
                raise RuntimeError("an Envoy did not start")
            time.sleep(0.01)
        yield router, processes


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
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
