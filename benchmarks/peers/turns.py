"""Servers take turns: bursts of load, each on one of them while the others stand still."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psutil
from load import Result, closed, merged, opened
from peers.bare import Bare
from peers.launch import Served, Server

WARMUP = 0.2  # seconds of each burst
SETTLE = 0.3  # seconds for what a burst leaves under way
CALM, TRIES = 0.15, 5  # cores that others may use in a burst, else it is measured again


class Point(NamedTuple):
    """A closed loop of connections, or an open one of requests a second."""

    connections: int | None
    rate: int | None

    def __str__(self) -> str:
        if self.rate is not None:
            return f"open loop, {self.rate:,} requests/s"
        return f"closed loop, {self.connections} connection{'s' * (self.connections != 1)}"


class Found(NamedTuple):
    """One measurement.

    Attributes:
        rate: Requests a second that were answered with 200.
        p50: Milliseconds, as is p99.
        cpu: CPU seconds of the server a thousand requests.
        failed: Requests without such an answer.
        others: Cores that other programs used meanwhile.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: int
    others: float

    def __str__(self) -> str:
        return (
            f"{self.rate:,.0f}/s, p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms, "
            f"{self.cpu:.3f} CPU s a thousand, {self.failed} failed; others {self.others:.2f} cores"
        )


class Burst(NamedTuple):
    """A second of load, the server's CPU seconds, and the cores that other programs used."""

    result: Result
    cpu: float
    others: float


def one_round(
    names: Sequence[str],
    points: Sequence[Point],
    served: Served,
    texts: Sequence[str],
    seconds: int,
    work: Path,
) -> Iterator[tuple[tuple[Point, str], Found]]:
    """Each point of each server; all are started anew, and ended when the iterator is.

    Args:
        names: `probe`, `replica` and peers.
        points: What is asked of each.
        served: What they serve.
        texts: The requests, one text each; every server gets the same in the same order.
        seconds: Bursts a point.
        work: A folder for what the servers write.

    Raises:
        RuntimeError: A server does not start, or answers something else than the model.
    """
    expected = Bare(served.model).answers(texts[:1])[0]["label"]
    with ExitStack() as stack:
        servers: dict[Server, list[bytes]] = {}
        for name in names:
            server = stack.enter_context(Server(name, served, work / name))
            if (label := server.ask(texts[0])) != expected:
                raise RuntimeError(f"{name} answers {label} where the model says {expected}")
            servers[server] = server.requests(texts)
            closed(server.address, servers[server], connections=32, seconds=2)
            server.pause(on=True)
        for point in points:
            bursts: dict[str, list[Burst]] = {server.name: [] for server in servers}
            for seed in range(seconds):
                for server, requests in servers.items():
                    turned = requests[1000 * seed :] + requests[: 1000 * seed]
                    bursts[server.name].append(calm_burst(point, server, turned, seed))
            yield from (((point, name), found_in(mine)) for name, mine in bursts.items())


def calm_burst(point: Point, server: Server, requests: Sequence[bytes], seed: int) -> Burst:
    """A burst in which other programs took little, or the best of a few.

    Each is a second over new connections: which of two processes that share a port gets a
    connection is the kernel's dice, and one set of few connections would measure the dice.
    """
    best: Burst | None = None
    for _ in range(TRIES):
        server.pause(on=False)
        before, used, start = server.cpu(), _busy(), time.perf_counter()
        try:
            result = _load(point, server, requests, seed)
        except ConnectionRefusedError:
            raise RuntimeError(f"{server.name} is gone\n{server.tail}") from None
        cpu = server.cpu() - before
        others = max(_busy() - used - cpu - result.cpu, 0) / (time.perf_counter() - start)
        time.sleep(SETTLE)
        server.pause(on=True)
        if best is None or others < best.others:
            best = Burst(result, cpu, others)
        if others < CALM:
            break
    assert best is not None
    return best


def _load(point: Point, server: Server, requests: Sequence[bytes], seed: int) -> Result:
    address = server.address
    if point.rate is not None:
        shape = {"rate": point.rate, "seed": seed, "patience": 2}
        return opened(address, requests, seconds=1, warmup=WARMUP, **shape)
    assert point.connections is not None
    return closed(address, requests, connections=point.connections, seconds=1, warmup=WARMUP)


def _busy() -> float:
    """CPU seconds of the whole machine so far."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0)


def found_in(bursts: Sequence[Burst]) -> Found:
    """Bursts as one measurement."""
    result = merged([burst.result for burst in bursts])
    return Found(
        result.rate(),
        result.percentile(50),
        result.percentile(99),
        1000 * sum(burst.cpu for burst in bursts) / max(result.total, 1),
        result.completed - len(result.of()) + sum(result.errors.values()) + result.unanswered,
        sum(burst.others for burst in bursts) / len(bursts),
    )
