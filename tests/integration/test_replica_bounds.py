"""What HTTP clients can make a replica hold, and what they cannot take from others."""

import contextlib
import itertools
import json

import psutil
import pytest

from tests.support.replica import client, serving
from tests.support.wait import until
from tests.support.wire import Wire, chunked, gauge, get, post

pytestmark = pytest.mark.xdist_group("replica")
pytest_plugins = ["tests.support.served"]

CHUNKED = get("/v1/predict", "Transfer-Encoding: chunked", method="POST")
ROW = [1.0] * 13


def refused(replica, *parts):
    """What the answer to these bytes says; afterwards the replica still answers others."""
    with Wire(replica) as wire:
        found = wire.send(*parts).answer()
    with Wire(replica) as wire:
        assert wire.send(get()).answer().status == 200
    return found.status, found.json["kind"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([get("/v1/predict", "Content-Length: 1048577", method="POST")], (413, "too_large")),
        ([get("/v1/predict", f"Content-Length: {2**64 - 1}", method="POST")], (413, "too_large")),
        ([get("/v1/predict", f"Content-Length: {2**64}", method="POST")], (400, "invalid")),
        ([CHUNKED, *[chunked(b"a" * 99_000, end=b"")] * 11], (413, "too_large")),
        ([post({"text": "a" * 20_001})], (413, "too_large")),
        ([post({"text": ["a"] * 257})], (413, "too_large")),
        ([post({"text": [["a"]]})], (400, "invalid")),
        ([post(b'{"text":' + b"[" * 8 + b"]" * 8 + b"}")], (400, "invalid")),
        ([post(b"[" * 1_000_000)], (400, "invalid")),
        ([post(b'{"text": "\xff"}')], (400, "invalid")),
        ([post(b'{"text": "\xed\xa0\x80"}')], (400, "invalid")),
        ([post(b'{"text": "\\ud800"}')], (400, "invalid")),
        ([post({"text": "a", "model": "b"})], (400, "invalid")),
        ([post(b"")], (400, "invalid")),
        ([post(b"", "Content-Encoding: gzip")], (415, "unsupported")),
        ([get("/health/live", "Connection: Upgrade", "Upgrade: h2c")], (415, "unsupported")),
        ([get("a:80", method="CONNECT")], (415, "unsupported")),
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], (400, "invalid")),
        ([b"\x16\x03\x01\x00\xa5\x01\x00"], (400, "invalid")),
        ([post({"text": "a"}, "X-Request-Timeout-Ms: 0")], (400, "invalid")),
        ([post({"text": "a"}, "X-Request-Timeout-Ms: 1e3")], (400, "invalid")),
    ],
)
def test_what_is_too_much_or_no_request_is_refused(text, parts, expected):
    assert refused(text, *parts) == expected


@pytest.mark.parametrize(
    "row",
    [
        *("NaN", "Infinity", "1e400", "4e38", "-4e38", "9" * 400, "true", "null", '"1"', "[]"),
    ],
)
def test_what_a_32_bit_float_cannot_hold_is_refused(numeric, row):
    body = json.dumps({"features": ROW}).replace("1.0", row, 1).encode()
    assert refused(numeric, post(body)) == (400, "invalid")


def test_of_a_key_that_comes_twice_the_last_counts(text):
    with Wire(text) as wire:
        first = wire.send(post(b'{"text": 1, "text": "a"}')).answer().json
        assert first["scores"] == wire.send(post({"text": "a"})).answer().json["scores"]


@pytest.mark.parametrize(
    "parts",
    [
        [get("/" + "a" * 20_000)],
        [get("/", "A: " + "a" * 20_000)],
        [get("/", *[f"A{place}: b" for place in range(4000)])],
        [b"GET / HTTP/1.1\r\nA: ", *[b"a" * 1000] * 20],
        [b"GET /", *[b"a" * 1000] * 20],
        [CHUNKED, b"0\r\nA: " + b"a" * 600_000],
        [CHUNKED, b"0\r\n", b"A: b\r\n" * 4000],
        [CHUNKED, b"1;" + b"a" * 600_000],
    ],
)
def test_a_head_that_is_too_long_is_refused_though_it_never_ends(text, parts):
    assert refused(text, *parts) == (431, "headers")


def test_a_head_of_just_the_bound_is_taken_in_one_part_or_in_many(text):
    head = get("/health/live", "A: " + "a" * 16_000)
    with Wire(text) as wire:
        assert wire.send(head).answer().status == 200
        parts = [head[start : start + 500] for start in range(0, len(head), 500)]
        assert wire.send(*parts).answer().status == 200


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length:",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "A: b\r\n folded",
        "A: b\nContent-Length: 5",
        "A: b\rContent-Length: 5",
        "A: b\0c",
    ],
)
def test_what_two_servers_could_read_in_two_ways_is_refused_and_the_rest_dropped(text, head):
    hidden = get("/health/live", "X-Request-ID: hidden")
    request = get("/v1/predict", head, method="POST") + b"0\r\n\r\n" + hidden
    with Wire(text) as wire:
        found = wire.send(request).answer()
        assert (found.status, found.json["kind"]) == (400, "invalid")
        assert wire.rest() == b""


def test_line_ends_and_chunks_without_cr_are_refused(text):
    assert refused(text, get().replace(b"\r\n", b"\n")) == (400, "invalid")
    assert refused(text, CHUNKED, chunked(b"a").replace(b"\r\n", b"\n")) == (400, "invalid")


@pytest.fixture(scope="module")
def impatient(text_folder, tmp_path_factory):
    """A replica that waits for no one."""
    told = ["limits.request_seconds=0.2", "limits.idle_seconds=0.6"]
    options = [part for setting in told for part in ("--set", setting)]
    log = tmp_path_factory.mktemp("impatient") / "log"
    with serving(text_folder, log, *options, OMP_NUM_THREADS="1") as found:
        yield found


@pytest.mark.parametrize("sent", [b"G", get()[:-1], post({"text": "a"})[:-1], CHUNKED + b"1\r\n"])
def test_a_request_that_does_not_arrive_is_told_and_closed(impatient, sent):
    with Wire(impatient) as wire:
        found = wire.send(sent).answer()
        assert (found.status, found.json["kind"]) == (408, "slow")
        assert wire.rest() == b""
    until(lambda: gauge(impatient, "buffered_bytes") == 0)


def test_a_request_that_does_not_arrive_behind_another_is_closed_as_soon(impatient):
    with Wire(impatient) as wire:
        wire.send(post({"text": "a"}) + post({"text": "b"})[:-1])
        assert [wire.answer().status for _ in range(2)] == [200, 408]


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", get()])
def test_a_connection_that_is_not_used_is_closed(impatient, sent):
    def answered_and_closed():
        with Wire(impatient) as wire:
            try:
                if wire.send(sent) and sent == get():
                    assert wire.answer().status == 200
            except ConnectionError:  # this process stood still, and the replica did not wait
                return False
            return wire.rest() == b""

    until(answered_and_closed)


def sent_until_closed(wire, data):
    """Send the same again and again to a replica that does not care."""
    with contextlib.suppress(ConnectionError):
        while True:
            wire.send(data)


def test_a_client_that_never_reads_is_cut_off_and_forgotten(impatient):
    with Wire(impatient, receive=4096) as wire:
        sent_until_closed(wire, get("/openapi.json"))
    until(lambda: gauge(impatient, "connections") == 1)
    until(lambda: gauge(impatient, "buffered_bytes") == 0)


def test_a_client_that_asks_much_at_once_and_never_reads_costs_little(text):
    process = psutil.Process(text.process.pid)
    with Wire(text) as wire:
        wire.send(get()).answer()
        before = process.memory_info().rss
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            wire = stack.enter_context(Wire(text, receive=4096))
            with contextlib.suppress(ConnectionError):
                wire.send(get("/openapi.json") * 8000)
        assert gauge(text, "buffered_bytes") < 8 << 20
        assert process.memory_info().rss - before < 48 << 20
    until(lambda: gauge(text, "buffered_bytes") == 0)


def test_too_many_requests_of_one_connection_are_refused_after_those_before(serve):
    slow = ("batching.max_queue_delay_microseconds=1000000", "batching.max_batch_size=64")
    with serve(*slow) as replica, Wire(replica) as wire:
        wire.send(post({"text": "a"}) * 33)
        found = [wire.answer() for _ in range(33)]
        assert [one.status for one in found] == [200] * 32 + [503]
        assert found[-1].json["kind"] == "overloaded"
        assert wire.rest() == b""


def test_connections_beyond_the_bound_are_told_and_take_no_ones_place(serve):
    with serve("limits.connections=3") as replica, contextlib.ExitStack() as stack:
        first, *others = (stack.enter_context(Wire(replica)) for _ in range(3))
        for wire in (first, *others):
            assert wire.send(get()).answer().status == 200
        turned_away = [stack.enter_context(Wire(replica)) for _ in range(3)]
        for wire in turned_away:
            found = wire.answer()
            assert (found.status, found.json["kind"]) == (503, "overloaded")
            assert found.headers["retry-after"] == "1"
        assert others[0].send(post({"text": "a"})).answer().status == 200
        others[1].break_off()

        def admitted():
            with contextlib.suppress(ConnectionError), Wire(replica) as wire:
                return wire.send(get()).answer().status == 200

        until(admitted)


def test_bodies_beyond_the_bound_are_refused_until_there_is_room(serve):
    megabyte = 1 << 20
    limits = (f"limits.buffered_bytes={megabyte}", f"limits.body_bytes={megabyte}")
    with serve(*limits) as replica, Wire(replica) as large, Wire(replica) as small:
        large.send(post(b" " * 1_000_000)[:-1])
        until(lambda: gauge(replica, "buffered_bytes") > 900_000)
        assert refused(replica, post(b" " * 100_000)) == (503, "overloaded")
        assert small.send(post({"text": "a"})).answer().status == 200
        assert large.send(b" ").answer().status == 400
        until(lambda: gauge(replica, "buffered_bytes") == 0)
        assert small.send(post(b" " * 100_000)).answer().status == 400


def test_answers_that_wait_for_others_count_as_buffered(serve):
    bound = 1 << 20
    slow = "batching.max_queue_delay_microseconds=10000000"
    with serve(slow, f"limits.buffered_bytes={bound}") as replica:
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                wire = stack.enter_context(Wire(replica))
                with contextlib.suppress(ConnectionError):
                    wire.send(post({"text": "a"}) + get("/openapi.json") * 31)
            until(lambda: gauge(replica, "buffered_bytes") > bound / 2)
            assert gauge(replica, "buffered_bytes") <= bound
            until(lambda: gauge(replica, "connections") < 16)
            stack.callback(wire.break_off)
        with Wire(replica) as wire:
            assert wire.send(get()).answer().status == 200


def test_a_body_in_very_many_parts_takes_no_time_from_others(text):
    with Wire(text) as busy, Wire(text) as other:
        parts = chunked(*itertools.repeat(b" ", 300_000), end=b"")
        busy.send(CHUNKED + parts)
        assert other.send(get()).answer().status == 200
        assert busy.send(b"0\r\n\r\n").answer().status == 400
    until(lambda: gauge(text, "buffered_bytes") == 0)


def test_after_all_this_nothing_is_held(text):
    with client(text) as http:
        assert http.post("/v1/predict", json={"text": "a"}).is_success
    until(lambda: gauge(text, "connections") == 1)
    until(lambda: gauge(text, "buffered_bytes") == gauge(text, "queue_rows") == 0)
