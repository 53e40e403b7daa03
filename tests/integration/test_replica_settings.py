"""No setting of a replica is silently ignored: each one, changed, is noticed by a client."""

from __future__ import annotations

import json
import signal

import psutil
import pytest
from pydantic import BaseModel

from openautoglm.config.serving import Serving
from tests.support.replica import client, serving, stub
from tests.support.wait import until
from tests.support.wire import Wire, gauge, get, post

pytestmark = pytest.mark.xdist_group("replica")
pytest_plugins = ["tests.support.served"]

CALL = 0.05  # seconds of a call of the stub
NESTED = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": [["a"]]}
UNSAMPLED = "Traceparent: 00-" + "1" * 32 + "-" + "2" * 16 + "-00"


def status(replica, request):
    with Wire(replica) as wire:
        return wire.send(request).answer().status


def calls(replica, rows):
    """Calls of the model that so many rows took."""
    before = gauge(replica, "batch_rows_count")
    assert status(replica, post({"text": ["a"] * rows})) == 200
    return gauge(replica, "batch_rows_count") - before


def waits_for_company(replica):
    def waited():
        before = gauge(replica, "queue_seconds_sum")
        assert status(replica, post({"text": "a"})) == 200
        return gauge(replica, "queue_seconds_sum") - before

    # One may have to wait for another reason, and not three in a row.
    return min(waited() for _ in range(3)) > 0.25


def refuses_what_waits(replica):
    with Wire(replica) as wire:
        wire.send(post({"text": "a"}) * 4)
        return 429 in [wire.answer().status for _ in range(4)]


def refuses_a_second_connection(replica):
    with Wire(replica) as first:
        assert first.send(get()).answer().status == 200
        try:
            with Wire(replica) as second:
                return second.send(get()).answer().status == 503
        except ConnectionError:  # it was closed before it had asked
            return True


def refuses_what_fills_the_memory(replica):
    big = b'{"text": "a"}'.ljust(700_000)
    with Wire(replica) as half:
        half.send(post(big)[:-1])
        until(lambda: gauge(replica, "buffered_bytes") > 600_000)
        return status(replica, post(big)) == 503


def cuts_off_half_a_request(replica):
    with Wire(replica) as wire:
        return wire.send(get()[:-2]).answer().status == 408


def closes_what_is_not_used(replica):
    with Wire(replica) as wire:
        return wire.rest() == b""


def ends_without_waiting(replica):
    with Wire(replica) as wire:
        wire.send(post({"text": ["a"] * 256}) * 12)
        until(lambda: gauge(replica, "queue_rows") > 0)
        replica.process.send_signal(signal.SIGTERM)
        return wire.rest().count(b"HTTP/1.1 200") < 12


def logs(replica, *headers):
    asked = post({"text": "a"}, "X-Request-ID: looked-for", *headers)
    assert status(replica, asked) == 200
    assert status(replica, get()) == 200  # what follows an answer is done before the next one
    lines = map(json.loads, replica.log.read_text(encoding="utf-8").splitlines())
    return any(line.get("request_id") == "looked-for" for line in lines)


def knows_a_text_that_comes_again(replica):
    request = post({"text": "again"})
    assert [status(replica, request) for _ in range(2)] == [200, 200]
    return gauge(replica, "cache_hits_total") > 0


# Each key with another value than its default, and what a client then sees.
NOTICED = {
    "batching.max_batch_size": ("1", lambda replica: calls(replica, 3) == 3),
    "batching.preferred_batch_size": ("[2]", lambda replica: calls(replica, 3) == 2),
    "batching.max_queue_delay_microseconds": ("300000", waits_for_company),
    "batching.max_queue_rows": ("1", refuses_what_waits),
    "limits.body_bytes": (
        "1024",
        lambda replica: status(replica, post({"text": "a" * 2000})) == 413,
    ),
    "limits.header_bytes": (
        "1024",
        lambda replica: status(replica, get("/health/live", "A: " + "b" * 2000)) == 431,
    ),
    "limits.rows": ("2", lambda replica: status(replica, post({"text": ["a"] * 3})) == 413),
    "limits.text_characters": ("3", lambda replica: status(replica, post({"text": "abcd"})) == 413),
    "limits.depth": (
        "4",
        lambda replica: (
            status(replica, post({"inputs": [NESTED]}, path="/v2/models/stub/infer")) == 400
        ),
    ),
    "limits.connections": ("1", refuses_a_second_connection),
    "limits.buffered_bytes": ("1048576", refuses_what_fills_the_memory),
    "limits.request_seconds": ("0.2", cuts_off_half_a_request),
    "limits.idle_seconds": ("0.2", closes_what_is_not_used),
    "traces.ratio": ("1", logs),
    "timeout_ms": ("1", lambda replica: status(replica, post({"text": ["a"] * 100})) == 429),
    "drain_seconds": ("0", ends_without_waiting),
    "cache_entries": ("10", knows_a_text_that_comes_again),
    "access_log": ("all", lambda replica: logs(replica, UNSAMPLED)),
}
# To see that nothing happens takes seconds, or a chance in a hundred.
NOT_BY_DEFAULT = set(NOTICED) - {
    *("limits.request_seconds", "limits.idle_seconds", "traces.ratio", "drain_seconds"),
}


def keys(model: type[BaseModel], prefix: str = ""):
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_key_is_looked_at_here():
    assert set(keys(Serving)) == {*NOTICED, "threads"}


@pytest.mark.parametrize("key", NOTICED)
def test_a_changed_key_is_noticed(tmp_path, key):
    value, noticed = NOTICED[key]
    with stub(tmp_path / "log", CALL, f"{key}={value}") as replica:
        assert noticed(replica)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with stub(tmp_path_factory.mktemp("plain") / "log", CALL) as replica:
        yield replica


@pytest.mark.parametrize("key", sorted(NOT_BY_DEFAULT))
def test_what_it_changes_does_not_happen_without_it(plain, key):
    assert not NOTICED[key][1](plain)


def test_threads_are_the_models_own(text_folder, tmp_path):
    def threads(replica):
        return psutil.Process(replica.process.pid).num_threads()

    with (
        serving(text_folder, tmp_path / "one", "--set", "threads=1") as one,
        serving(text_folder, tmp_path / "three", "--set", "threads=3") as three,
    ):
        until(lambda: threads(three) == threads(one) + 2)


def test_cached_answers_are_those_of_the_model(text_folder, tmp_path):
    texts = {"text": ["铁路", "诗词", "铁路"]}
    with (
        serving(text_folder, tmp_path / "log", "--set", "cache_entries=10") as replica,
        client(replica) as http,
    ):
        first, second = (http.post("/v1/predict", json=texts).json() for _ in range(2))
        assert first["predictions"] == second["predictions"]
        assert gauge(replica, "cache_hits_total") == 3
        assert gauge(replica, "batch_rows_sum") == 3
