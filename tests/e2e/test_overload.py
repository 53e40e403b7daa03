"""Far more requests than a replica can serve: it sheds, and goes on as before."""

from __future__ import annotations

import importlib
import json
import threading
from pathlib import Path
from time import monotonic, perf_counter
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.replica import client, stub
from tests.support.wait import PATIENCE, until

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BATCH, CALL = 8, 0.02  # rows and seconds of a call of the stub
CAPACITY = BATCH / CALL  # rows a second
TEXT = {"text": "高速铁路"}


@pytest.fixture
def load(monkeypatch):
    """The benchmarks' load generator."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("load")


@pytest.fixture
def replica(tmp_path):
    with stub(tmp_path / "log", CALL, f"batching.max_batch_size={BATCH}") as found:
        yield found


class Health:
    """Asks for liveness and readiness until it is told to stop."""

    def __init__(self, url: str) -> None:
        self.seconds: list[float] = []
        self.statuses: set[int] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(url,))

    def __enter__(self) -> Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as asking:
            while not self._ended.wait(0.05):
                for path in ("/health/live", "/health/ready"):
                    start = perf_counter()
                    self.statuses.add(asking.get(path).status_code)
                    self.seconds.append(perf_counter() - start)


def overloaded(load, replica, seconds):
    """Five times its capacity for some seconds, with a look at its health all the while."""
    wire = importlib.import_module("wire")
    address = (urlsplit(replica.url).hostname, urlsplit(replica.url).port)
    requests = [wire.post("/v1/predict", json.dumps(TEXT).encode())]
    with Health(replica.url) as health:
        result = load.opened(address, requests, rate=5 * CAPACITY, seconds=seconds, connections=900)
    return result, health


def test_what_cannot_be_served_is_refused_with_429_or_503_and_the_rest_is_answered(load, replica):
    result, health = overloaded(load, replica, 3)
    assert set(result.statuses) <= {200, 429, 503}
    assert result.statuses[200] > 0
    assert result.statuses[429] > 0
    assert not result.errors
    assert result.unanswered == 0
    assert health.statuses == {200}
    with client(replica) as asking:
        assert asking.post("/v1/predict", json=TEXT).status_code == 200
        until(lambda: "openautoglm_replica_queue_rows 0.0" in asking.get("/metrics").text)


def test_a_refusal_says_when_to_come_again(replica):
    with client(replica) as asking:
        refused = asking.post(
            "/v1/predict", json={"text": ["x"] * 200}, headers={"x-request-timeout-ms": "1"}
        )
        # The first finds an empty queue; its deadline passes while most of its rows wait.
        assert refused.status_code == 429
        assert refused.json()["kind"] == "deadline"
        assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.sweep
def test_a_minute_at_five_times_the_capacity(load, replica, record_property):
    result, health = overloaded(load, replica, 60)
    record_property("cases", result.completed)
    assert set(result.statuses) <= {200, 429, 503}
    assert not result.errors
    assert result.unanswered == 0
    goodput = result.rate() / CAPACITY
    worst = max(health.seconds)
    ended = monotonic()
    with client(replica) as asking:
        while "openautoglm_replica_queue_rows 0.0" not in asking.get("/metrics").text:
            assert monotonic() - ended < 2
        start = perf_counter()
        assert asking.post("/v1/predict", json=TEXT).status_code == 200
        after = perf_counter() - start
    print(f"goodput {goodput:.3f}, health {worst * 1e3:.1f} ms at worst, then {after * 1e3:.0f} ms")
    assert goodput >= 0.9
    assert worst < 0.05
    assert after < 0.1
