"""The client: what it sends, how it reads answers, which error is which, when it tries again."""

import asyncio
import json
import pickle
import subprocess
import sys
from contextlib import aclosing

import httpx
import pytest

from openautoglm.client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    ModelFailedError,
    OverloadedError,
    Prediction,
    ReplicaError,
    UnexpectedAnswerError,
    UnreachableError,
)
from openautoglm.client.calls import Endpoint
from openautoglm.client.exchange import Patience, Pause, Send, exchange
from openautoglm.errors import OpenAutoGLMError

URL = "http://127.0.0.1:8080"
HEADERS = {"x-model-version": "3", "x-model-digest": "sha256-1", "x-request-id": "r"}


class Replica:
    """Answers as a replica does: the first label for an even number of characters or numbers.

    `first` are answers, or errors, that come before its own.
    """

    def __init__(self, *first):
        self.first = list(first)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        if self.first:
            answer = self.first.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.url.path == "/v2":
            told = {"name": "open-autoglm", "version": "1.0", "extensions": ["binary_tensor_data"]}
            return httpx.Response(200, headers=HEADERS, json=told)
        if request.method == "GET":
            return httpx.Response(200, headers=HEADERS)
        [(_, rows)] = json.loads(request.content).items()
        told = {"version": "3", "request_id": "r"}
        if isinstance(rows, str) or isinstance(rows[0], float):
            return httpx.Response(200, headers=HEADERS, json=told | found(rows))
        told["predictions"] = [found(row) for row in rows]
        return httpx.Response(200, headers=HEADERS, json=told)

    def bodies(self):
        return [json.loads(request.content) for request in self.requests]


def found(row):
    even = len(row) % 2 == 0
    return {"label": "A" if even else "B", "scores": {"A": 0.75 * even, "B": 0.75 * (not even)}}


def refusal(status, kind, *, after=None, **more):
    told = {"error": "text[3]: found null", "kind": kind, "request_id": "r"} | more
    return httpx.Response(
        status, headers=HEADERS | ({"retry-after": after} if after else {}), json=told
    )


def copy(answer):
    """A parameter of a test is one object for all its runs, but an answer is read once."""
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture(params=["waits", "asyncio"])
def ask(request):
    """Call one method of either client; what it would have slept is in `ask.pauses`."""

    def with_client(answer, method, *arguments, options=None, **more):
        transport = httpx.MockTransport(lambda request: copy(answer(request)))
        ask.pauses = []
        if request.param == "waits":
            settings = {"transport": transport, "sleep": ask.pauses.append} | (options or {})
            with Client(URL, **settings) as client:
                result = getattr(client, method)(*arguments, **more)
                return list(result) if method == "stream" else result

        async def sleep(seconds):
            ask.pauses.append(seconds)

        async def run():
            settings = {"transport": transport, "sleep": sleep} | (options or {})
            async with AsyncClient(URL, **settings) as client:
                if method == "stream":
                    return [one async for one in client.stream(*arguments, **more)]
                return await getattr(client, method)(*arguments, **more)

        return asyncio.run(run())

    ask = with_client
    return with_client


def test_one_text_gives_one_prediction(ask):
    replica = Replica()
    said = ask(replica, "predict", "铁路")
    assert said == Prediction("A", {"A": 0.75, "B": 0.0}, "3", "sha256-1", "r")
    assert said.score == 0.75
    assert replica.bodies() == [{"text": "铁路"}]


def test_a_list_gives_a_list(ask):
    replica = Replica()
    assert [one.label for one in ask(replica, "predict", ["铁路", "诗"])] == ["A", "B"]
    assert replica.bodies() == [{"text": ["铁路", "诗"]}]


def test_a_list_of_one_is_a_list(ask):
    assert [one.label for one in ask(Replica(), "predict", ["诗"])] == ["B"]


def test_an_empty_list_asks_nobody(ask):
    replica = Replica()
    assert ask(replica, "predict", []) == []
    assert replica.requests == []


def test_one_row_of_features(ask):
    replica = Replica()
    assert ask(replica, "predict", [1.0, 2.5]).label == "A"
    assert replica.bodies() == [{"features": [1.0, 2.5]}]


def test_rows_of_features(ask):
    replica = Replica()
    assert [one.label for one in ask(replica, "predict", [[1.0, 2.5], [3.0]])] == ["A", "B"]
    assert replica.bodies() == [{"features": [[1.0, 2.5], [3.0]]}]


def test_a_long_list_goes_in_parts_and_comes_back_in_order(ask):
    replica = Replica()
    texts = ["字" * (n % 7) for n in range(1000)]
    said = ask(replica, "predict", texts)
    assert [one.label for one in said] == ["AB"[len(text) % 2] for text in texts]
    assert sorted(len(body["text"]) for body in replica.bodies()) == [232, 256, 256, 256]


def test_long_texts_go_in_smaller_parts_for_a_replica_bounds_the_body(ask):
    replica = Replica()
    assert len(ask(replica, "predict", ["字" * 20_000] * 100)) == 100
    assert len(replica.requests) > 1
    assert max(len(request.content) for request in replica.requests) <= 1 << 20


def test_a_stream_takes_no_more_rows_than_it_needs():
    taken = []
    rows = (taken.append(n) or str(n) for n in range(10_000))
    with Client(URL, transport=httpx.MockTransport(Replica()), rows=10, at_once=2) as client:
        next(client.stream(rows))
    assert len(taken) <= 30


def test_an_async_stream_that_is_left_ends_what_is_under_way():
    taken = []
    rows = (taken.append(n) or str(n) for n in range(10_000))

    async def run():
        transport = httpx.MockTransport(Replica())
        client = AsyncClient(URL, transport=transport, rows=10)
        async with client, aclosing(client.stream(rows)) as answers:
            await anext(answers)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(run()) == set()
    assert len(taken) <= 30


def test_a_stream_of_one_text_is_a_slip(ask):
    with pytest.raises(TypeError, match="one text, not many"):
        ask(Replica(), "stream", "铁路")


def test_headers_travel_and_the_deadline_is_told(ask):
    replica = Replica()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    options = {"headers": {"authorization": "Bearer x"}, "timeout": 60}
    ask(replica, "predict", "a", timeout=2.0, headers={"traceparent": trace}, options=options)
    sent = replica.requests[0].headers
    assert sent["traceparent"] == trace
    assert sent["authorization"] == "Bearer x"
    assert 1000 < int(sent["x-request-timeout-ms"]) < 2000


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (refusal(400, "invalid"), InvalidRequestError, 2),
        (refusal(404, "not_found"), InvalidRequestError, 2),
        (refusal(405, "method"), InvalidRequestError, 2),
        (refusal(408, "slow"), DeadlineExceededError, 1),
        (refusal(413, "too_large"), InvalidRequestError, 2),
        (refusal(415, "unsupported"), InvalidRequestError, 2),
        (refusal(431, "headers"), InvalidRequestError, 2),
        (refusal(429, "queue_full", after="7"), OverloadedError, 1),
        (refusal(429, "deadline", after="7"), DeadlineExceededError, 1),
        (refusal(503, "draining", after="7"), OverloadedError, 1),
        (refusal(503, "overloaded", after="7"), OverloadedError, 1),
        (refusal(500, "failed"), ModelFailedError, 1),
    ],
)
def test_every_kind_has_its_error(ask, answer, error, code):
    with pytest.raises(error) as caught:
        ask(lambda _: answer, "predict", "a", options={"retries": 0})
    said = caught.value
    assert type(said) is error
    assert said.exit_code == code
    assert (said.status, said.message) == (answer.status_code, "text[3]: found null")
    assert said.kind == answer.json()["kind"]
    assert said.request_id == "r"
    assert said.retry_after == (7.0 if "retry-after" in answer.headers else None)
    assert isinstance(said, ReplicaError)
    assert isinstance(said, OpenAutoGLMError)


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (httpx.ConnectError("refused"), UnreachableError),
        (httpx.ConnectTimeout("no route"), UnreachableError),
        (httpx.ReadError("reset"), UnreachableError),
        (httpx.RemoteProtocolError("hung up"), UnreachableError),
        (httpx.ReadTimeout("late"), DeadlineExceededError),
        (httpx.PoolTimeout("busy"), DeadlineExceededError),
        (httpx.LocalProtocolError("a header with a newline"), InvalidRequestError),
        (httpx.DecodingError("no gzip"), UnexpectedAnswerError),
    ],
)
def test_what_httpx_raises_becomes_one_of_ours(ask, broken, error):
    with pytest.raises(error) as caught:
        ask(Replica(broken), "predict", "a", options={"retries": 0})
    assert type(caught.value) is error
    assert caught.value.status is None
    assert f"{URL}/v1/predict" in str(caught.value)
    assert caught.value.__cause__ is broken


@pytest.mark.parametrize(
    ("answer", "error", "kind"),
    [
        (httpx.Response(503, text="no healthy upstream"), OverloadedError, "http 503"),
        (httpx.Response(504, text="upstream timeout"), DeadlineExceededError, "http 504"),
        (httpx.Response(401, text="Jwt is missing"), InvalidRequestError, "http 401"),
        (httpx.Response(404, text="<html>"), InvalidRequestError, "http 404"),
        (httpx.Response(502, text="bad gateway"), UnexpectedAnswerError, "http 502"),
        (httpx.Response(302, text="login"), UnexpectedAnswerError, "http 302"),
    ],
)
def test_a_gateway_refuses_in_its_own_words(ask, answer, error, kind):
    with pytest.raises(error, match=answer.text) as caught:
        ask(lambda _: answer, "predict", "a", options={"retries": 0})
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"label": "A", "scores": {}, "version": "3", "request_id": "r"}',
        b'{"predictions": [], "version": "3", "request_id": "r"}',
    ],
)
def test_an_answer_that_is_none_is_told(ask, body):
    for rows in ("a", ["a"]):
        with pytest.raises(UnexpectedAnswerError, match="not how a replica answers"):
            ask(lambda _: httpx.Response(200, headers=HEADERS, content=body), "predict", rows)


def test_a_refusal_says_what_to_do_next(ask):
    answer = refusal(400, "invalid", next="send them in several requests")
    with pytest.raises(InvalidRequestError) as caught:
        ask(lambda _: answer, "predict", "a")
    assert str(caught.value).splitlines() == [
        "text[3]: found null",
        f"  where:   {URL}/v1/predict",
        "  next:    send them in several requests",
        "  request: r",
    ]


def test_an_unreachable_replica_says_what_to_type(ask):
    with pytest.raises(UnreachableError) as caught:
        ask(Replica(httpx.ConnectError("refused")), "predict", "a", options={"retries": 0})
    assert "openautoglm serve --model FOLDER --digest sha256-... --port 8080" in str(caught.value)


def test_a_part_that_fails_says_which_rows(ask):
    def answer(request):
        return refusal(400, "invalid") if "bad" in request.content.decode() else Replica()(request)

    texts = [*["a"] * 25, "bad", *["a"] * 30]
    with pytest.raises(InvalidRequestError, match="20 to 29, from 0") as caught:
        ask(answer, "predict", texts, options={"rows": 10})
    assert caught.value.rows == range(20, 30)


@pytest.mark.parametrize("row", ["\ud800", [float("nan")], [object()]])
def test_what_json_cannot_say_is_refused_before_it_is_sent(ask, row):
    replica = Replica()
    with pytest.raises(InvalidRequestError, match="cannot be sent as JSON") as caught:
        ask(replica, "predict", [row])
    assert caught.value.rows == range(1)
    assert replica.requests == []


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:8080", "ftp://host", "http://", "http://host\0", "http://host:65536"),
        *("http://host?model=a", None),
    ],
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_an_address_that_is_none(client, url):
    with pytest.raises(InvalidRequestError, match="no address of a replica"):
        client(url)


@pytest.mark.parametrize(
    "first",
    [
        refusal(429, "queue_full"),
        refusal(503, "draining"),
        httpx.Response(503, text="no healthy upstream"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("hung up"),
    ],
)
def test_what_may_pass_is_tried_again(ask, first):
    replica = Replica(first)
    assert ask(replica, "predict", "a").label == "B"
    assert len(replica.requests) == 2
    assert len(ask.pauses) == 1


@pytest.mark.parametrize(
    "first",
    [
        refusal(400, "invalid"),
        refusal(408, "slow"),
        refusal(500, "failed"),
        httpx.Response(502, text="bad gateway"),
        httpx.ReadTimeout("late"),
    ],
)
def test_what_would_only_come_again_is_not(ask, first):
    replica = Replica(first)
    with pytest.raises(ReplicaError):
        ask(replica, "predict", "a")
    assert len(replica.requests) == 1
    assert ask.pauses == []


def test_nobody_is_asked_before_retry_after(ask):
    ask(Replica(refusal(429, "queue_full", after="3")), "predict", "a")
    assert 3.0 <= ask.pauses[0] <= 3.1


def test_a_retry_after_beyond_the_timeout_is_not_waited_for(ask):
    with pytest.raises(OverloadedError) as caught:
        ask(Replica(refusal(429, "queue_full", after="3")), "predict", "a", timeout=2.0)
    assert ask.pauses == []
    assert caught.value.retry_after == 3.0


def test_attempts_are_bounded(ask):
    replica = Replica(*[httpx.ConnectError("refused")] * 9)
    with pytest.raises(UnreachableError):
        ask(replica, "predict", "a", options={"retries": 2})
    assert len(replica.requests) == 3


def steps_of(patience, *replies):
    """What an exchange asks for, given what comes of each request."""
    steps = exchange(Endpoint(URL, rows=1).one("a", None), patience)
    step, remaining = next(steps), list(replies)
    while True:
        yield step
        try:
            step = steps.send(remaining.pop(0) if isinstance(step, Send) else None)
        except ReplicaError as error:
            yield error
            return


@pytest.mark.parametrize(("random", "expected"), [(1.0, [0.1, 0.2, 0.4, 0.8]), (0.0, [0.0] * 4)])
def test_pauses_double_with_full_jitter(random, expected):
    patience = Patience(60.0, 4, clock=lambda: 0.0, random=lambda: random)
    steps = steps_of(patience, *[httpx.ConnectError("")] * 5)
    assert [step.seconds for step in steps if isinstance(step, Pause)] == pytest.approx(expected)


def test_no_pause_is_longer_than_five_seconds():
    patience = Patience(600.0, 20, clock=lambda: 0.0, random=lambda: 1.0)
    steps = steps_of(patience, *[httpx.ConnectError("")] * 21)
    assert max(step.seconds for step in steps if isinstance(step, Pause)) == 5.0


def test_all_attempts_share_one_timeout_and_the_replica_is_told_what_is_left():
    now = iter(range(100))  # each look at the clock is a second later
    patience = Patience(10.0, 99, clock=lambda: float(next(now)), random=lambda: 0.0)
    told = []
    for step in steps_of(patience, *[httpx.ConnectError("")] * 100):
        if isinstance(step, Send):
            told.append(int(step.arguments()["headers"]["x-request-timeout-ms"]))
    assert told == sorted(told, reverse=True)
    assert 0 < told[-1] < told[0] < 10_000
    assert isinstance(step, UnreachableError)


@pytest.mark.parametrize("what", ["live", "ready"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200), True),
        (httpx.Response(503), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("late"), False),
    ],
)
def test_health_is_asked_once_and_no_answer_is_no(ask, what, answer, expected):
    replica = Replica(answer)
    assert ask(replica, what) is expected
    assert [str(request.url) for request in replica.requests] == [f"{URL}/health/{what}"]


def test_metadata_names_server_and_model(ask):
    said = ask(Replica(), "metadata")
    assert (said.server, said.version, said.digest) == ("open-autoglm", "3", "sha256-1")
    assert said.extensions == ("binary_tensor_data",)


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("http://127.0.0.1:1", False),
        ("http://127.8.0.1:1", False),
        ("http://[::1]:1", False),
        ("http://localhost:1", False),
        ("http://replica.example:1", True),
    ],
)
def test_only_other_machines_are_asked_through_a_proxy(monkeypatch, client, url, proxied):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    http = client(url)._http
    assert (http._transport_for_url(httpx.URL(url)) is not http._transport) is proxied


def test_an_error_survives_pickling():
    error = OverloadedError("full", where=URL, kind="queue_full", status=429, retry_after=1.0)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is OverloadedError
    assert (str(again), again.status, again.retry_after) == (str(error), 429, 1.0)


def test_the_client_brings_nothing_heavy_along():
    code = "import sys, openautoglm.client; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "torch", "mlflow", "onnxruntime", "tokenizers", "pydantic", "pandas"}
    assert heavy.isdisjoint(loaded.stdout.split())
    assert "httpx" in loaded.stdout.split()


@pytest.mark.parametrize("rows", [None, 3, {"text": "a"}])
def test_what_is_no_row_is_said_to_be_none(rows):
    with Client("http://127.0.0.1:1") as client, pytest.raises(InvalidRequestError) as error:
        client.predict(rows)
    assert type(rows).__name__ in str(error.value)
