"""The load generator of the benchmarks: what it sends, understands and counts."""

import importlib
import socketserver
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
FULL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\n0\r\n\r\n\r\nA\r\n0123456789"
    b"\r\n0\r\n\r\n"
)
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("load")


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("wire")


class Handler(socketserver.StreamRequestHandler):
    """Gives the server's answers in turn; None breaks the connection instead."""

    def handle(self):
        while line := self.rfile.readline():
            head = [line, *iter(self.rfile.readline, b"\r\n")]
            length = next(int(h.split(b":")[1]) for h in head if h.startswith(b"Content-Length"))
            self.server.seen.append(self.rfile.read(length))
            answer = self.server.answers[len(self.server.seen) % len(self.server.answers)]
            if answer is None:
                return
            for part in answer if isinstance(answer, tuple) else (answer,):
                self.wfile.write(part)
            if answer is LAST:
                return


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 64
    daemon_threads = True

    def handle_error(self, request, client_address):
        """The generator leaves in the middle of a request: that is how it ends."""


@contextmanager
def serving(*answers):
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answers, server.seen = answers, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_closed_loop_counts_what_was_answered(load, wire):
    with serving(OK) as server:
        requests = [wire.post("/", body) for body in (b"a", b"bc")]
        found = load.closed(server.server_address, requests, connections=3, seconds=1)
    assert found.statuses == {200: found.completed}
    assert 0 < found.completed <= found.total
    assert found.total <= len(server.seen) <= found.total + 3  # three were under way
    assert set(server.seen) == {b"a", b"bc"}
    assert found.rate() == found.completed / 1
    assert 0 < found.percentile(50) <= found.percentile(99) <= found.of().max() < 1000
    assert not found.errors


def test_a_warm_up_does_not_count(load, wire):
    with serving(OK) as server:
        found = load.closed(
            server.server_address, [wire.post("/", b"a")], connections=1, seconds=1, warmup=1
        )
    assert 0 < found.completed < len(server.seen)
    assert found.finished.min() >= 0


def test_an_open_loop_asks_as_often_as_it_was_told_to(load, wire):
    with serving(OK) as server:
        found = load.opened(server.server_address, [wire.post("/", b"a")], rate=200, seconds=0.5)
    assert found.statuses == {200: 100}
    assert len(server.seen) == 100
    assert (found.unanswered, found.errors) == (0, {})


def test_the_wait_for_a_free_connection_is_part_of_the_latency(load, wire):
    free = threading.Event()

    class Slow(list):
        def append(self, body):
            free.wait(5)
            super().append(body)

    with serving(OK) as server:
        server.seen = Slow()
        timer = threading.Timer(0.3, free.set)
        timer.start()
        found = load.opened(
            *(server.server_address, [wire.post("/", b"a")]),
            **{"rate": 100, "seconds": 0.1, "connections": 1, "poisson": False},
        )
        timer.join()
    assert found.completed == 10
    assert found.latency.min() > 150  # due within 0.1 s, answered after 0.3 s


def test_what_is_never_answered_is_told(load, wire):
    with serving((b"HTTP/1.1 200 OK\r\n",)) as server:
        found = load.opened(
            *(server.server_address, [wire.post("/", b"a")]),
            **{"rate": 100, "seconds": 0.1, "connections": 4, "patience": 0.1},
        )
    assert (found.completed, found.unanswered) == (0, 10)


def test_refusals_are_counted_apart(load, wire):
    with serving(OK, FULL) as server:
        found = load.opened(server.server_address, [wire.post("/", b"a")], rate=100, seconds=0.2)
    assert found.statuses == {200: 10, 429: 10}
    assert found.rate() == found.rate(429) == 50


@pytest.mark.parametrize("loop", ["closed", "opened"])
def test_a_broken_connection_is_an_error_and_another_takes_its_place(load, wire, loop):
    shape = {"connections": 2} if loop == "closed" else {"rate": 100}
    with serving(OK, None) as server:
        requests = [wire.post("/", b"a")]
        found = getattr(load, loop)(server.server_address, requests, seconds=1, **shape)
    assert set(found.errors) == {"ConnectionResetError"}
    assert abs(found.completed - found.errors["ConnectionResetError"]) <= 2


@pytest.mark.parametrize("loop", ["closed", "opened"])
def test_a_connection_that_the_server_ends_politely_is_no_error(load, wire, loop):
    shape = {"connections": 2} if loop == "closed" else {"rate": 100}
    with serving(LAST) as server:
        requests = [wire.post("/", b"a")]
        found = getattr(load, loop)(server.server_address, requests, seconds=1, **shape)
    assert found.completed > 2
    assert not found.errors


def test_a_request_larger_than_the_socket_takes_is_sent_whole(load, wire):
    body = b"x" * 20_000_000
    with serving(OK) as server:
        requests = [wire.post("/", body)]
        found = load.opened(server.server_address, requests, rate=10, seconds=0.1)
    assert found.statuses == {200: 1}
    assert server.seen == [body]


def test_nobody_there_is_said_at_once(load, wire):
    with serving(OK) as server:
        address = server.server_address
    with pytest.raises(ConnectionRefusedError):
        load.closed(address, [wire.post("/", b"a")], connections=1, seconds=60)


def test_results_of_one_thing_can_be_put_together(load, wire):
    with serving(OK) as server:
        one, other = (
            load.opened(server.server_address, [wire.post("/", b"a")], rate=50, seconds=0.2)
            for _ in range(2)
        )
    both = load.merged([one, other])
    assert (both.completed, both.seconds, both.rate()) == (20, 0.4, 50)


@pytest.mark.parametrize("answer", [OK, FULL, CHUNKED, LAST, NOTHING])
def test_an_answer_is_whole_with_its_last_byte(wire, answer):
    for cut in range(len(answer)):
        assert wire.measured(answer[:cut])[0] == 0
    length, status, kept = wire.measured(answer)
    assert (length, status) == (len(answer), int(answer[9:12]))
    assert kept == (answer is not LAST)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_no_answer_is_refused(wire, answer):
    with pytest.raises(ValueError, match="not"):
        wire.measured(answer)
