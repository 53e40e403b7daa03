"""Fuzzing: what the OpenAPI document allows and forbids, and bytes that are nearly requests."""

import contextlib
import gc
import itertools
import random
import re
from collections import Counter

import httpx
import psutil
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.support.replica import client, serving
from tests.support.wait import until
from tests.support.wire import Wire, chunked, gauge, get, post

pytestmark = pytest.mark.xdist_group("replica")
pytest_plugins = ["tests.support.served"]

MEGABYTE = 1 << 20
ROW = [13.2, 1.78, 2.14, 11.2, 100.0, 2.65, 2.76, 0.26, 1.28, 4.38, 1.05, 3.4, 1050.0]
ASK = {"text": {"text": "中国近代经济史"}, "numeric": {"features": ROW}}
REFUSED = ("400", "405", "413", "415", "429", "431")
# No schema can say that `data` has as many values as `shape` says, or which classes the model has
# that gave the answer of this id.
TENSORS = {
    "include-path-regex": "/infer$|/feedback$",
    "checks": {"positive_data_acceptance": {"enabled": False}},
}


def asked(replica, examples, seed):
    """Have Schemathesis ask for everything; how many requests it made."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "cache": {"enabled": False},
            "generation": {"max-examples": examples, "allow-extra-parameters": False},
            "phases": {"stateful": {"enabled": False}},
            "checks": {"negative_data_rejection": {"expected-statuses": list(REFUSED)}},
            "operations": [TENSORS],
        }
    )
    schema = schemathesis.openapi.from_url(f"{replica.url}/openapi.json", config=config)
    count, wrong = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            count += len(event.recorder.interactions)
            wrong += [
                f"{event.label}: {check.name}: {check.failure_info.failure}"
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
        elif isinstance(event, events.NonFatalError):
            wrong.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    gc.collect()  # Schemathesis leaves its connections to the collector
    assert wrong == []
    return count


INFER = "/v2/models/small/infer"
COMMON = [
    get(),
    get("/metrics", "Accept: application/openmetrics-text"),
    get("/v2/models/small", method="HEAD"),
    get("/v2/models/sm%61ll/versions/7/ready", "Connection: keep-alive"),
    get("/health/live", "X-Request-ID: mine", "Connection: close"),
    get("/health/live").replace(b"1.1", b"1.0"),
]
TEXT_INPUT = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "铁路"]}
TEXT_BINARY = (
    b'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"parameters":'
    b'{"binary_data_size":7}}],"parameters":{"binary_data_output":true}}'
)
ROW_INPUT = {"name": "features", "datatype": "FP32", "shape": [1, 13], "data": ROW}
VALID = {
    "text": [
        post(ASK["text"], "X-Request-Timeout-Ms: 2000"),
        post({"text": ["a", "", "铁路" * 300]}, "Expect: 100-continue"),
        get("/v1/predict", "Transfer-Encoding: chunked", method="POST")
        + chunked(b'{"text":', b'"a"}', end=b"0\r\nA: b\r\n\r\n"),
        post({"id": "1", "inputs": [TEXT_INPUT], "outputs": [{"name": "label"}]}, path=INFER),
        post(
            TEXT_BINARY + b"\x03\0\0\0abc",
            f"Inference-Header-Content-Length: {len(TEXT_BINARY)}",
            path=INFER,
        ),
    ],
    "numeric": [
        post(ASK["numeric"], "Traceparent: 00-" + "1" * 32 + "-" + "2" * 16 + "-01"),
        post({"features": [ROW, ROW]}),
        post({"inputs": [ROW_INPUT], "parameters": {"timeout": 2_000_000}}, path=INFER),
    ],
}
TOKENS = [
    *(b"\r\n", b"\n", b"\0", b" ", b":", b"0", b"-1", b"1e999", b"[" * 50, b'"', b"\\ud800"),
    *(b"\r\n\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"\xff\xfe"),
    *(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"A" * 5000),
]


def mutated(valid, chance):
    """A few requests one after the other, damaged in a few places."""
    data = bytearray(b"".join(chance.choices(valid, k=chance.choice([1, 1, 2, 4]))))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.randint(1, 40))
        match chance.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = chance.choice(TOKENS)
            case 3:
                data[at:at] = chance.randbytes(end - at)
            case _:
                other = chance.choice(valid)
                data[at:] = other[chance.randrange(len(other)) :]
    return bytes(data)


HASTY = ("--set", "limits.request_seconds=0.3", "--set", "limits.idle_seconds=0.3")
TOGETHER = 100  # connections that are open at once, until the replica's patience ends


def fuzzed(replica, kind, count, seed):
    """Send that many damaged requests, each on a connection of its own; what was answered."""
    chance, found = random.Random(seed), Counter()
    for _ in range(0, count, TOGETHER):
        sent = []
        with contextlib.ExitStack() as stack:
            for _ in range(TOGETHER):
                data = mutated(COMMON + VALID[kind], chance)
                middle = chance.randrange(len(data) + 1)
                wire = stack.enter_context(Wire(replica))
                with contextlib.suppress(OSError):  # the replica had seen enough
                    wire.send(data[:middle], data[middle:])
                sent.append((wire, data))
            for wire, data in sent:
                answers = wire.rest()
                codes = re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answers)
                assert all(code[:1] in b"24" or code == b"100" for code in codes), (data, answers)
                found.update(code.decode() for code in codes)
    return found


def check_that_nothing_is_left(replica, before):
    until(lambda: gauge(replica, "connections") == 1)
    until(lambda: gauge(replica, "buffered_bytes") == gauge(replica, "queue_rows") == 0)
    assert memory(replica) - before < 32 * MEGABYTE
    assert '"level":"error"' not in replica.log.read_text(encoding="utf-8")


def predicted(replica, kind):
    def answer():
        with contextlib.suppress(httpx.TransportError), client(replica) as http:
            found = http.post("/v1/predict", json=ASK[kind])
            # A hasty one gives up on a client that stands still for a moment.
            return found if found.status_code != 408 else None

    return until(answer).raise_for_status().json()["scores"]


def memory(replica):
    return psutil.Process(replica.process.pid).memory_info().rss


def fuzz(request, kind, *, examples, rounds, raw):
    """Both ways of fuzzing, and that they leave no trace; how many requests were sent."""
    replica, count = request.getfixturevalue(kind), 0
    expected, before = predicted(replica, kind), memory(replica)
    for seed in itertools.count(1):
        if count >= rounds:
            break
        count += asked(replica, examples, seed)
    check_that_nothing_is_left(replica, before)
    assert predicted(replica, kind) == pytest.approx(expected, abs=1e-6)
    folder = request.getfixturevalue(f"{kind}_folder")
    with serving(folder, folder / "hasty-log", *HASTY, OMP_NUM_THREADS="1") as hasty:
        fuzzed(hasty, kind, TOGETHER, seed=0)  # what is made once is there
        before = memory(hasty)
        assert {"200", "400"} <= set(fuzzed(hasty, kind, raw, seed=1))
        check_that_nothing_is_left(hasty, before)
        assert predicted(hasty, kind) == pytest.approx(expected, abs=1e-6)
    return count + raw


@pytest.mark.parametrize("kind", ["text", "numeric"])
def test_fuzzed_requests_are_answered_or_refused_and_leave_no_trace(request, kind):
    assert fuzz(request, kind, examples=10, rounds=1, raw=300) > 600


@pytest.mark.sweep
@pytest.mark.parametrize("kind", ["text", "numeric"])
def test_very_many_fuzzed_requests_leave_no_trace(request, record_property, kind):
    count = fuzz(request, kind, examples=100, rounds=2500, raw=2500)
    assert count >= 5000
    record_property("cases", count)
