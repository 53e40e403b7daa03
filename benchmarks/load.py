"""A load generator of one process: about 20 microseconds of CPU a request, the latency of each.

    requests = [wire.post("/v1/predict", b'{"text": "..."}')]
    closed(("127.0.0.1", 8000), requests, connections=32, seconds=5).rate()
    opened(("127.0.0.1", 8000), requests, rate=1000, seconds=5).percentile(99)

*Closed loop*: each connection sends its next request when the last is answered, so a slow server
is asked less. *Open loop*: requests come at a rate of their own and latency counts from when one
was due, so the wait that a slow server causes is seen ("coordinated omission" leaves it out).
"""

from __future__ import annotations

import itertools
import select
import selectors
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from wire import Address, Connection


@dataclass(frozen=True)
class Result:
    """What was answered, and when.

    Attributes:
        status: Status of each answer, `int64[n]`.
        finished: Seconds from the end of the warm-up to each answer, `float64[n]`.
        latency: Milliseconds of each, `float64[n]`.
        errors: Requests that broken connections took with them, by the exception's name.
        total: Answers in all, those of the warm-up included: what `cpu` was spent on.
        unanswered: Requests of an open loop that were due and got no answer.
        seconds: Length of the measurement: of an open loop, while requests were due.
        cpu: CPU seconds of the generator, warm-up included.
    """

    status: NDArray[np.int64]
    finished: NDArray[np.float64]
    latency: NDArray[np.float64]
    errors: Mapping[str, int]
    total: int
    unanswered: int
    seconds: float
    cpu: float

    @property
    def completed(self) -> int:
        """Answers, whatever their status."""
        return len(self.status)

    @property
    def statuses(self) -> dict[int, int]:
        """Answers by status."""
        return dict(sorted(Counter(self.status.tolist()).items()))

    def rate(self, status: int = 200) -> float:
        """Answers with this status a second."""
        return len(self.of(status)) / self.seconds

    def of(self, status: int = 200) -> NDArray[np.float64]:
        """Milliseconds of the answers with this status, `float64[m]`: `.mean()`, `.max()`."""
        return self.latency[self.status == status]

    def percentile(self, share: float, status: int = 200) -> float:
        """Milliseconds within which `share` per cent of them came; nan if none did."""
        found = self.of(status)
        return float(np.percentile(found, share)) if len(found) else float("nan")


def merged(results: Sequence[Result]) -> Result:
    """Several measurements of one thing as one; `finished` starts anew with each."""
    return Result(
        np.concatenate([one.status for one in results]),
        np.concatenate([one.finished for one in results]),
        np.concatenate([one.latency for one in results]),
        sum((Counter(one.errors) for one in results), Counter()),
        sum(one.total for one in results),
        sum(one.unanswered for one in results),
        sum(one.seconds for one in results),
        sum(one.cpu for one in results),
    )


def closed(
    address: Address,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    warmup: float = 0.0,
) -> Result:
    """Each connection sends the next of `requests` as soon as its last was answered.

    Answers that come within `seconds` after the warm-up count; what is under way at the end does
    not. A connection that breaks is an error, and another takes its place.

    Raises:
        ConnectionRefusedError: Nobody listens at the address.
    """
    turns, cpu = itertools.cycle(requests), time.thread_time()
    start = time.perf_counter() + warmup
    with _Pool(address, start) as pool:
        for _ in range(connections):
            pool.open().send(next(turns), time.perf_counter())
        while (now := time.perf_counter()) < start + seconds:
            for connection in pool.ready(start + seconds - now):
                if isinstance(connection.error, ConnectionRefusedError):
                    raise connection.error
                again = connection if connection.alive else pool.open()
                again.send(next(turns), time.perf_counter())
        return pool.result(seconds, 0, time.thread_time() - cpu, by_due=False)


def opened(
    address: Address,
    requests: Sequence[bytes],
    *,
    rate: float,
    seconds: float,
    connections: int = 512,
    warmup: float = 0.0,
    poisson: bool = True,
    seed: int = 0,
    patience: float = 10.0,
) -> Result:
    """The next of `requests` when it is due, whatever became of those before.

    Args:
        address: Host and port.
        requests: As `wire.post` makes them.
        rate: Requests a second.
        seconds: While requests are due; those due in the warm-up before it do not count.
        connections: At most so many, opened as needed. Free ones take turns; a request that finds
            none waits for one, and that is part of its latency.
        warmup: Seconds.
        poisson: Random gaps, as independent users leave them; otherwise even ones.
        seed: Of the gaps.
        patience: Seconds to wait for the last answers.
    """
    turns, cpu = itertools.cycle(requests), time.thread_time()
    start = time.perf_counter() + warmup
    end = start + seconds
    due = _arrivals(start - warmup, end, rate, np.random.default_rng(seed) if poisson else None)
    with _Pool(address, start) as pool:
        while (due or pool.busy) and (now := time.perf_counter()) < end + patience:
            room = True
            while room and due and due[0] <= now:
                if room := bool(pool.idle or len(pool.members) < connections):
                    connection = pool.idle.popleft() if pool.idle else pool.open()
                    connection.send(next(turns), due.popleft())
            for connection in pool.ready((due[0] if room and due else end + patience) - now):
                if connection.alive:
                    pool.idle.append(connection)
        left = pool.busy + len(due)
        return pool.result(seconds, left, time.thread_time() - cpu, by_due=True)


def _arrivals(
    begin: float, end: float, rate: float, random: np.random.Generator | None
) -> deque[float]:
    count = round(rate * (end - begin))
    # Given their number, the arrivals of a Poisson process are uniform and independent.
    share = np.arange(count) / count if random is None else np.sort(random.random(count))
    return deque((begin + share * (end - begin)).tolist())


class _Pool:
    """The open connections, and what came of each request."""

    def __init__(self, address: Address, start: float) -> None:
        self.members: set[Connection] = set()
        self.idle: deque[Connection] = deque()
        self._address = address
        self._start = start
        self._selector = selectors.DefaultSelector()
        self._errors: Counter[str] = Counter()
        self._answers: list[tuple[int, float, float]] = []

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.members:
            connection.socket.close()
        self._selector.close()

    @property
    def busy(self) -> int:
        """Requests under way."""
        return len(self.members) - len(self.idle)

    def open(self) -> Connection:
        connection = Connection(self._address, self._selector)
        self.members.add(connection)
        return connection

    def ready(self, timeout: float) -> Iterator[Connection]:
        """Connections whose answer is whole, or that broke before it was, after a wait."""
        # The selector itself counts in whole milliseconds, too coarse for requests that are due.
        select.select([self._selector], [], [], max(timeout, 0))
        events = self._selector.select(0)
        at = time.perf_counter()
        for key, mask in events:
            connection: Connection = key.data
            try:
                status = connection.progress(mask)
            except (OSError, ValueError) as error:
                self._drop(connection)
                connection.error = error
                if not connection.busy:
                    self.idle.remove(connection)
                    continue
                if at >= self._start:
                    self._errors[type(error).__name__] += 1
                yield connection
                continue
            if status:
                self._answers.append((status, connection.begun, at))
                if not connection.kept:
                    self._drop(connection)
                yield connection

    def _drop(self, connection: Connection) -> None:
        self.members.remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        connection.alive = False

    def result(self, seconds: float, unanswered: int, cpu: float, *, by_due: bool) -> Result:
        """What was asked (`by_due`) or answered within the measured seconds."""
        status, begun, at = np.array(self._answers, np.float64).reshape(-1, 3).T
        counts = (begun if by_due else at) - self._start
        mine = (counts >= 0) & (counts < seconds)
        return Result(
            status[mine].astype(np.int64),
            (at - self._start)[mine],
            1000 * (at - begun)[mine],
            dict(self._errors),
            len(at),
            unanswered,
            seconds,
            cpu,
        )
