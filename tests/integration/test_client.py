"""The client with a real replica, and on connections that are kept, shared, broken, unanswered."""

import asyncio
import json
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from openautoglm.client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    UnreachableError,
)
from tests.support.registry import LABELS, write_compressed
from tests.support.replica import digest_of, serving
from tests.support.wait import PATIENCE

pytestmark = pytest.mark.xdist_group("client")


MANY = 20
"""More than a test sends: a request that its client has given up may still take its one."""


class Server(ThreadingHTTPServer):
    """Speaks like a replica, and misbehaves on demand, which the real one does not."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.connections = 0
        self.misbehave = []
        self.silent = threading.Event()
        self.released = threading.Event()

    def process_request(self, request, address):
        self.connections += 1
        super().process_request(request, address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        text = json.loads(self.rfile.read(int(self.headers["content-length"])))["text"]
        if self.server.misbehave:
            self.server.misbehave.pop()(self)
            return
        found = [{"label": one, "scores": {one: 1.0}} for one in text]
        self.answer(found[0] if isinstance(text, str) else {"predictions": found})

    def answer(self, told, **headers):
        body = json.dumps(told | {"version": "1", "request_id": "r"}).encode()
        self.send_response(200)
        self.send_header("x-model-digest", "sha256-1")
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def hang_up(handler):
    handler.close_connection = True


def reset(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def answer_half(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    handler.close_connection = True


def never_answer(handler):
    handler.server.silent.set()
    handler.server.released.wait(PATIENCE)
    handler.close_connection = True


@contextmanager
def misbehaving(port=0):
    with Server(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server():
    with misbehaving() as server:
        yield server


@pytest.fixture
def nobody():
    """An address where nothing listens, unless a test starts something there."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def in_both(url, call, **options):
    """`call` with each client, to be called without arguments."""

    async def run():
        async with AsyncClient(url, **options) as client:
            return await call(client)

    with Client(url, **options) as client:
        yield lambda: call(client)
    yield lambda: asyncio.run(run())


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A replica of a text model, and its digest."""
    folder = tmp_path_factory.mktemp("text")
    write_compressed(folder / "model", 0)
    with serving(folder / "model", folder / "log") as replica:
        yield replica.url, digest_of(folder / "model")


@pytest.fixture(scope="module")
def numeric(tmp_path_factory):
    """Address of a replica of three numbers."""
    folder = tmp_path_factory.mktemp("numeric")
    write_compressed(folder / "model", 0, "numeric")
    with serving(folder / "model", folder / "log") as replica:
        yield replica.url


def test_a_replica_predicts_texts_and_says_which_model_it_is(text):
    url, digest = text
    texts = ["车" * (1 + n % 5) for n in range(700)]
    for call in in_both(url, lambda client: client.predict(texts)):
        said = call()
        assert len(said) == 700
        assert [one.label for one in said] == ["铁路"] * 700
        assert {tuple(one.scores) for one in said} == {LABELS}
        assert {(one.version, one.digest) for one in said} == {("7", digest)}
    for call in in_both(url, lambda client: client.predict("诗", headers={"x-request-id": "mine"})):
        assert (call().label, call().request_id) == ("文学", "mine")


def test_a_replica_predicts_rows_of_features(numeric):
    rows = [[1.0, 2.0, 3.0], [-1.0, 0.5, 4.0]]
    for call in in_both(numeric, lambda client: client.predict(rows)):
        many = call()
    for row, one in zip(rows, many, strict=True):
        for call in in_both(numeric, lambda client, row=row: client.predict(row)):
            assert call().scores == pytest.approx(one.scores, abs=1e-6)
    for call in in_both(numeric, lambda client: client.predict([1.0, 2.0])):
        with pytest.raises(InvalidRequestError, match="allowed: exactly 3"):
            call()
    for call in in_both(numeric, lambda client: client.predict("车")):
        with pytest.raises(InvalidRequestError, match="found no `features`"):
            call()


def test_a_replica_tells_its_health_and_what_it_is(text):
    url, digest = text
    for call in in_both(url, lambda client: client.live()):
        assert call() is True
    for call in in_both(url, lambda client: client.ready()):
        assert call() is True
    for call in in_both(url, lambda client: client.metadata()):
        assert (call().version, call().digest) == ("7", digest)


def test_one_connection_serves_many_requests(server):
    with Client(server.url) as client:
        assert [client.predict(text).label for text in "abcdefgh"] == list("abcdefgh")
    assert server.connections == 1


def test_many_tasks_share_the_connections_there_are(server):
    async def run():
        async with AsyncClient(server.url, connections=4) as client:
            return await asyncio.gather(*(client.predict(text) for text in "abcdefgh" * 8))

    assert [one.label for one in asyncio.run(run())] == list("abcdefgh" * 8)
    assert server.connections <= 4


def test_many_threads_share_one_client(server):
    with Client(server.url, connections=4) as client, ThreadPoolExecutor(8) as threads:
        said = list(threads.map(client.predict, "abcdefgh" * 8))
    assert [one.label for one in said] == list("abcdefgh" * 8)
    assert server.connections <= 4


def test_a_long_list_comes_back_in_order(server):
    texts = [str(n) for n in range(1000)]

    for call in in_both(server.url, lambda client: client.predict(texts), rows=7, at_once=4):
        assert [one.label for one in call()] == texts


@pytest.mark.parametrize("break_", [hang_up, reset, answer_half])
def test_a_broken_connection_is_replaced(server, break_):
    for call in in_both(server.url, lambda client: client.predict("a")):
        server.misbehave = [break_]
        assert call().label == "a"


def test_a_connection_that_was_closed_while_unused_is_replaced(server):
    with Client(server.url) as client:
        client.predict("a")
        server.misbehave = [hang_up, hang_up]
        assert client.predict("b").label == "b"


def test_no_answer_ends_with_the_timeout(server):
    for call in in_both(server.url, lambda client: client.predict("a", timeout=0.2)):
        server.misbehave = [never_answer] * MANY
        with pytest.raises(DeadlineExceededError, match=r"no answer within 0\.2 s"):
            call()


def test_waiting_for_a_free_connection_counts(server):
    async def run():
        async with AsyncClient(server.url, connections=1, timeout=0.3) as client:
            server.misbehave = [never_answer] * MANY
            calls = (client.predict(text) for text in "abc")
            return await asyncio.gather(*calls, return_exceptions=True)

    assert {type(one) for one in asyncio.run(run())} == {DeadlineExceededError}
    with Client(server.url, connections=1, timeout=0.3) as client, ThreadPoolExecutor(3) as threads:
        server.misbehave = [never_answer] * MANY
        calls = [threads.submit(client.predict, text) for text in "abc"]
        assert {type(call.exception()) for call in calls} == {DeadlineExceededError}


def test_a_cancelled_task_gives_its_connection_back(server):
    async def run():
        async with AsyncClient(server.url, connections=1) as client:
            server.misbehave = [never_answer]
            first = asyncio.create_task(client.predict("a"))
            assert await asyncio.to_thread(server.silent.wait, PATIENCE)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await client.predict("b")

    assert asyncio.run(run()).label == "b"


def test_nobody_there(nobody):
    for call in in_both(nobody, lambda client: client.predict("a"), retries=0):
        with pytest.raises(UnreachableError, match="openautoglm serve"):
            call()
    for call in in_both(nobody, lambda client: client.ready()):
        assert call() is False


def test_a_replica_that_starts_between_two_attempts_is_found(nobody):
    with ExitStack() as started:

        def start(_):
            started.enter_context(misbehaving(int(nobody.rsplit(":", 1)[1])))

        with Client(nobody, sleep=start) as client:
            assert client.predict("a").label == "a"
