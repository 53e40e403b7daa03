"""Requests while something else happens: who answered, and what failed."""

from __future__ import annotations

import http.client
import itertools
import json
import select
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.wait import PATIENCE

TEXTS = ("车",)
_HEADERS = {"content-type": "application/json"}
_BEGIN = itertools.count(0, 1_000_000)
"""No two requests of a run have one name: the answer to the second would not be kept."""


class Traffic:
    """Clients that ask one after the other over connections they keep, until the block ends.

    A connection that was closed between two requests is opened again, as every pool of connections
    does; a request that was sent and not answered is a failure.

    Args:
        port: Of the gateway.
        clients: How many ask at a time.
        pause: Seconds a client waits between two requests.
        texts: What they ask, in turn.
        labels: The true class of each text, told as feedback after its answer.

    Attributes:
        answers: Number of answers by (status, version).
        failures: What went wrong, one text a request that was not answered.
        begun: When each of those was begun, `monotonic` seconds.
    """

    def __init__(
        self,
        port: int,
        *,
        clients: int = 4,
        pause: float = 0.01,
        texts: Sequence[str] = TEXTS,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.failures: list[str] = []
        self.begun: list[float] = []
        self._port = port
        self._pause = pause
        self._texts = itertools.cycle(texts)
        self._labels = labels
        self._numbers = itertools.count(next(_BEGIN))
        self._counted_from = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def good(self) -> int:
        """Answers with 200."""
        with self._lock:
            return sum(count for (status, _), count in self.answers.items() if status == 200)

    @property
    def bad(self) -> dict[tuple[int, str], int]:
        """Answers with anything else."""
        with self._lock:
            return {key: count for key, count in self.answers.items() if key[0] != 200}

    def versions(self) -> Counter[str]:
        """Answers with 200 by version."""
        with self._lock:
            return Counter(
                {
                    version: count
                    for (status, version), count in self.answers.items()
                    if status == 200
                }
            )

    def clear(self) -> None:
        """Count answers to what is asked from here on; a failure stays one."""
        with self._lock:
            self.answers.clear()
            self._counted_from = next(self._numbers)

    def _fail(self, told: str, begun: float) -> None:
        self.failures.append(told)
        self.begun.append(begun)

    def _tell(self, connection: http.client.HTTPConnection, request: str, label: str) -> None:
        told = json.dumps({"request_id": request, "label": label}).encode()
        connection.request("POST", "/v1/feedback", told, _HEADERS)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status in (200, 429), body

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self._stop.wait(self._pause):
            begun = time.monotonic()
            if connection.sock and select.select([connection.sock], [], [], 0)[0]:
                connection.close()  # nothing was asked, so this is its end
            try:
                with self._lock:
                    text, number = next(self._texts), next(self._numbers)
                told = {"x-request-id": f"t{number}", **_HEADERS}
                body = json.dumps({"text": text}).encode()
                connection.request("POST", "/v1/predict", body, told)
                answer = connection.getresponse()
                body = answer.read()
                if self._labels and answer.status == 200:
                    self._tell(connection, f"t{number}", self._labels[text])
                with self._lock:
                    if number >= self._counted_from:
                        self.answers[answer.status, answer.getheader("x-model-version", "")] += 1
                    if answer.status != 200:
                        self._fail(f"{answer.status}: {body[:200]!r}", begun)
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self._fail(repr(error), begun)
                with suppress(OSError):
                    connection.close()
        connection.close()
