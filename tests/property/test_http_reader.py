"""Laws of reading HTTP: how bytes are cut into packets changes nothing, bounds are bounds."""

from itertools import pairwise
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from openautoglm.config.serving import Limits
from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.http.reader import Reader
from tests.support.wire import chunked, get, post

HEAD, BODY = 1024, 2048
LIMITS = Limits(header_bytes=HEAD, body_bytes=BODY)
CHUNKED = get("/v1/predict", "Transfer-Encoding: chunked", "X-Request-ID: c", method="POST")


class Read(NamedTuple):
    """What became of some bytes."""

    requests: list[tuple[object, ...]]
    refused: str | None
    proceeds: int
    held: int


class Receiver:
    """Takes down what it is given."""

    def __init__(self):
        self.requests, self.proceeds = [], 0

    def begin(self):
        return Exchange(None)

    def proceed(self):
        self.proceeds += 1

    def received(self, exchange):
        told = (exchange.method, exchange.path, exchange.headers, bytes(exchange.body))
        self.requests.append((*told, exchange.keep_alive, exchange.held))


def read(parts):
    receiver, held = Receiver(), []
    reader = Reader(receiver, LIMITS, lambda size: not held.append(size))
    refused = None
    for part in parts:
        refusal = reader.feed(part)
        if refusal is not None:
            refused = refusal.kind.name
            break
    return Read(receiver.requests, refused, receiver.proceeds, sum(held))


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


words = st.text("abcXYZ09-_", min_size=1, max_size=12)
headers = st.builds("{}: {}".format, words.map("X-".__add__), words)
bodies = st.binary(max_size=300)
REQUESTS = st.one_of(
    st.builds(get, words.map("/".__add__), headers, headers),
    st.builds(post, bodies, headers),
    st.builds(post, bodies, st.just("Expect: 100-continue")),
    st.builds(lambda parts: CHUNKED + chunked(*parts), st.lists(bodies.filter(len), max_size=4)),
    st.just(CHUNKED + chunked(b"a", end=b"0\r\nX-Request-ID: trailer\r\n\r\n")),
    st.just(get(method="HEAD").replace(b"1.1", b"1.0")),
    st.just(get("/", "Connection: close")),
    st.builds(lambda size: get("/", "X: " + "x" * size), st.integers(HEAD - 60, HEAD + 10)),
    st.builds(lambda size: get("/" + "x" * size), st.integers(HEAD - 60, HEAD + 10)),
    st.builds(lambda size: post(b" " * size), st.integers(BODY - 2, BODY + 2)),
)
STREAMS = st.lists(REQUESTS, min_size=1, max_size=5).map(b"".join)
PLACES = st.lists(st.integers(0, 1 << 20), max_size=30)


@settings(deadline=None, max_examples=300)
@given(data=STREAMS, places=PLACES)
@example(data=post(b" " * 1040) + get("/" + "x" * (HEAD - 60)), places=[1101])
def test_requests_are_the_same_however_their_bytes_are_cut(data, places):
    whole = read([data])
    found = read(cut(data, places))
    assert (found.requests, found.refused) == (whole.requests, whole.refused)


@settings(deadline=None, max_examples=60)
@given(data=STREAMS)
@example(
    data=CHUNKED + chunked(b"a", end=b"0\r\nX: trailer\r\n\r\n") + get("/" + "x" * (HEAD - 43))
)
def test_requests_are_the_same_byte_by_byte(data):
    whole = read([data])
    found = read([data[place : place + 1] for place in range(len(data))])
    assert (found.requests, found.refused) == (whole.requests, whole.refused)


@settings(deadline=None, max_examples=300)
@given(
    requests=st.lists(REQUESTS.filter(lambda data: len(data) < HEAD // 2), min_size=1, max_size=4),
    damage=st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=5)), max_size=4),
    places=PLACES,
)
def test_damaged_requests_are_the_same_however_their_bytes_are_cut(requests, damage, places):
    data = bytearray(b"".join(requests))
    for place, bytes_ in damage:
        at = place % len(data)
        data[at : at + 1] = bytes_
    whole = read([bytes(data)])
    found = read(cut(bytes(data), places))
    assert (found.requests, found.refused) == (whole.requests, whole.refused)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, BODY // 2), min_size=1, max_size=8), places=PLACES)
def test_a_body_is_taken_up_to_its_bound_and_counted(sizes, places):
    data = CHUNKED + chunked(*(b"x" * size for size in sizes))
    found = read(cut(data, places))
    if sum(sizes) <= BODY:
        assert found.requests[0][3] == b"x" * sum(sizes)
        assert found.held == sum(sizes)
    else:
        assert (found.requests, found.refused) == ([], "too_large")


@settings(deadline=None)
@given(
    start=st.sampled_from(
        [b"GET /", b"GET / HTTP/1.1\r\nA: ", b"GET / HTTP/1.1\r\nA", CHUNKED + b"0\r\nA: "]
    ),
    size=st.integers(1, 200),
)
def test_what_never_ends_is_refused_once_it_is_too_long(start, size):
    receiver = Receiver()
    reader = Reader(receiver, LIMITS, lambda size: True)
    fed = 0
    refusal = reader.feed(start)
    while refusal is None:
        refusal = reader.feed(b"a" * size)
        fed += size
        assert fed <= 2 * HEAD + size
    assert refusal.kind.name == "headers"
    assert receiver.requests == []
