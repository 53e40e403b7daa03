"""What is sent, waited for and tried again: decided here, done by either client.

An exchange is a generator. It yields `Send` or `Pause`, is sent what came of it, and returns the
answer or raises a ReplicaError. So both clients share every decision, and a test needs no clock.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple, TypeVar

import httpx

from openautoglm.client.calls import Call
from openautoglm.client.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ReplicaError,
    UnexpectedAnswerError,
    UnreachableError,
)

T = TypeVar("T")
IDLE = 30.0
"""Seconds an unused connection is kept; a replica keeps it longer."""
_CONNECT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TOLD = 0.95
"""The share of the time left that the replica is told, so that its own word arrives in time."""
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Patience:
    """How long and how often a request is tried.

    Attributes:
        timeout: Seconds for a request with all its attempts and pauses.
        retries: Attempts after the first.
        clock: Seconds of a clock that only goes forward.
        random: Uniform in [0, 1).
    """

    timeout: float
    retries: int
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def pause(self, error: ReplicaError, attempt: int, deadline: float) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 0); None: give up.

        Exponential with full jitter, so that clients refused together do not come back together;
        never before the replica's own `Retry-After`.
        """
        again = isinstance(error, UnreachableError) or error.status in (429, 503)
        if not again or attempt >= self.retries:
            return None
        jitter = self.random() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt)
        pause = (error.retry_after or 0.0) + jitter
        return pause if self.clock() + pause < deadline else None


@dataclass(frozen=True)
class Send:
    """Send this, and bring the answer or httpx's error."""

    call: Call[Any]
    deadline: float
    clock: Callable[[], float]

    def left(self) -> float:
        """Seconds from now to the deadline; never quite none, so that an attempt is made."""
        return max(self.deadline - self.clock(), 0.001)

    def arguments(self) -> dict[str, Any]:
        """What httpx's `request` takes; made last, for the replica must know what time is left."""
        left = self.left()
        headers = httpx.Headers({"content-type": "application/json"} if self.call.body else None)
        headers.update(self.call.headers)
        headers["x-request-timeout-ms"] = str(max(1, int(1000 * _TOLD * left)))
        return {
            "method": self.call.method,
            "url": self.call.url,
            "content": self.call.body,
            "headers": headers,
            "timeout": httpx.Timeout(left, connect=min(left, _CONNECT)),
        }


class Pause(NamedTuple):
    """Wait."""

    seconds: float


Reply = httpx.Response | httpx.RequestError | None
Exchange = Generator[Send | Pause, Reply, T]


def exchange(call: Call[T], patience: Patience) -> Exchange[T]:
    """Send a request until it is answered, refused for good, or the time is up.

    Raises:
        ReplicaError: The last attempt's.
    """
    deadline = patience.clock() + patience.timeout
    for attempt in count():
        reply = yield Send(call, deadline, patience.clock)
        try:
            if isinstance(reply, httpx.Response):
                return call.read(reply)
            raise _lost(call, reply, patience.timeout) from reply
        except ReplicaError as error:
            error.rows = call.rows
            pause = patience.pause(error, attempt, deadline)
            if pause is None:
                raise
        yield Pause(pause)
    raise AssertionError  # `count` does not end


def check(call: Call[bool], patience: Patience) -> Exchange[bool]:
    """Ask once; no answer is False."""
    reply = yield Send(call, patience.clock() + patience.timeout, patience.clock)
    return isinstance(reply, httpx.Response) and call.read(reply)


def within(patience: Patience, timeout: float | None) -> Patience:
    """The same with another timeout, where a call has its own."""
    return patience if timeout is None else replace(patience, timeout=timeout)


def _lost(call: Call[Any], error: httpx.RequestError | None, timeout: float) -> ReplicaError:
    """The error of a request that brought no answer."""
    said = str(error) or type(error).__name__
    if isinstance(error, _BROKEN):
        port = httpx.URL(call.url).port
        return UnreachableError(
            f"the replica is not reachable: {said}",
            where=call.url,
            hint="is it running? openautoglm serve --model FOLDER --digest sha256-..."
            + (f" --port {port}" if port else ""),
            kind="unreachable",
        )
    if isinstance(error, httpx.TimeoutException):
        return DeadlineExceededError(
            f"no answer within {timeout:g} s",
            where=call.url,
            hint="give it more time: timeout=SECONDS",
            kind="deadline",
        )
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return InvalidRequestError(f"this cannot be sent: {said}", where=call.url, kind="invalid")
    return UnexpectedAnswerError(f"the answer cannot be read: {said}", where=call.url)
