"""HTTP of a replica as its clients speak it: predictions, headers, framing, drain, what it logs."""

import json
import re
import signal

import pytest
from sklearn.datasets import load_wine

from tests.support.replica import client, digest_of, serving, stub
from tests.support.wait import PATIENCE, until
from tests.support.wire import Wire, chunked, gauge, get, post

pytestmark = pytest.mark.xdist_group("replica")
pytest_plugins = ["tests.support.served"]

TEXTS = ["大学图书馆的数字化", "中国近代经济史", "a", "", "列车轨道" * 500, "b\tc ", "ＡＢＣ", "🚂"]
LONG = "batching.max_queue_delay_microseconds=10000000"  # longer than any of these tests
FOREIGN = ["torch", "mlflow", "kfp", "evidently", "transformers", "optuna", "pandas", "sklearn"]


@pytest.fixture
def http(text):
    with client(text) as found:
        yield found


def scores(model, prediction):
    return [prediction["scores"][label] for label in model.labels]


def test_one_text_gets_its_label_and_every_score(http, text_predictions):
    for text in TEXTS:
        found = http.post("/v1/predict", json={"text": text}).json()
        [expected] = text_predictions.predict_proba([text])
        assert scores(text_predictions, found) == pytest.approx(expected, abs=1e-6)
        assert found["label"] == text_predictions.labels[expected.argmax()]
        assert found["version"] == "7"


def test_a_list_gets_an_answer_a_text_in_its_order(http, text_predictions):
    found = http.post("/v1/predict", json={"text": TEXTS}).json()
    expected = text_predictions.predict_proba(TEXTS)
    assert [scores(text_predictions, one) for one in found["predictions"]] == [
        pytest.approx(row, abs=1e-6) for row in expected
    ]


def test_company_in_a_batch_changes_no_score(text, text_predictions):
    expected = text_predictions.predict_proba(TEXTS)
    with Wire(text) as wire:
        wire.send(b"".join(post({"text": text}) for text in TEXTS * 4))
        for place in range(len(TEXTS) * 4):
            found = scores(text_predictions, wire.answer().json)
            assert found == pytest.approx(expected[place % len(TEXTS)], abs=1e-6)


def test_numbers_come_as_one_row_or_as_many(numeric, numeric_predictions):
    rows = load_wine().data[::9]
    expected = numeric_predictions.predict_proba(rows)
    with client(numeric) as http:
        one = http.post("/v1/predict", json={"features": rows[0].tolist()}).json()
        many = http.post("/v1/predict", json={"features": rows.tolist()}).json()["predictions"]
    assert scores(numeric_predictions, one) == pytest.approx(expected[0], abs=1e-6)
    for found, row in zip(many, expected, strict=True):
        assert scores(numeric_predictions, found) == pytest.approx(row, abs=1e-6)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post({"text": "a"}, "X-Request-ID: mine"), 200),
        (post(b"{", "X-Request-ID: mine"), 400),
        (get("/nowhere", "X-Request-ID: mine"), 404),
        (get("/v1/predict", "X-Request-ID: mine"), 405),
        (post({"text": "a" * 20_001}, "X-Request-ID: mine"), 413),
        (post(b"", "X-Request-ID: mine", "Content-Encoding: gzip"), 415),
        (get("/", "X-Request-ID: mine", "A: " + "a" * 20_000), 431),
        (get("/metrics", "X-Request-ID: mine"), 200),
    ],
)
def test_every_answer_names_version_digest_and_request(text, text_folder, request_, status):
    with Wire(text) as wire:
        found = wire.send(request_).answer()
    assert found.status == status
    assert found.headers["x-model-version"] == "7"
    assert found.headers["x-model-digest"] == digest_of(text_folder)
    assert found.headers["x-request-id"] == "mine"
    if status >= 400:
        assert found.json["request_id"] == "mine"


def test_a_request_without_an_id_gets_one(http):
    first, second = (http.post("/v1/predict", json={"text": "a"}) for _ in range(2))
    assert first.json()["request_id"] == first.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_predictions_tell_how_busy_the_replica_is(http):
    assert (
        http.post("/v1/predict", json={"text": "a"})
        .headers["endpoint-load-metrics"]
        .startswith("TEXT application_utilization=")
    )
    assert "endpoint-load-metrics" not in http.get("/health/live").headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "??"])
def test_the_body_is_json_whatever_its_content_type(http, kind):
    content = json.dumps({"text": "a"}).encode()
    assert http.post("/v1/predict", content=content, headers={"content-type": kind}).is_success


def test_health_answers_under_both_names(http):
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
        assert http.get(path).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/predict", "POST"),
        ("HEAD", "/v2/models/small/infer", "POST"),
        ("OPTIONS", "/v1/predict", "POST"),
        ("POST", "/health/live", "GET, HEAD"),
        ("DELETE", "/v2/models/small", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(http, method, path, allowed):
    found = http.request(method, path)
    assert found.status_code == 405
    assert found.headers["allow"] == allowed


def test_an_unknown_path_is_told_where_to_look(http):
    assert http.get("/v1/predictions").json()["next"] == "GET /openapi.json lists all"
    assert http.get("/v2/models/other").json()["error"].endswith("model `small`, version `7`")


def test_a_model_name_may_be_percent_encoded(http):
    assert http.get("/v2/models/%73mall/versions/%37").json()["name"] == "small"


def test_head_answers_what_get_does_without_its_body(text):
    with Wire(text) as wire:
        wire.send(get("/openapi.json", method="HEAD"), get("/openapi.json"))
        head, whole = wire.answer(bodiless=True), wire.answer()
    assert head.status == 200
    assert head.headers["content-length"] == whole.headers["content-length"]


def test_pipelined_requests_are_answered_in_their_order(text):
    asked = [post({"text": ["长" * 2000] * 64}), get(), post({"text": "a"}), get("/nowhere"), get()]
    with Wire(text) as wire:
        wire.send(b"".join(asked))
        found = [wire.answer() for _ in asked]
    assert [one.status for one in found] == [200, 200, 200, 404, 200]
    assert ["predictions" in one.json for one in found] == [True, False, False, False, False]


def test_many_large_requests_may_be_pipelined(text):
    with Wire(text) as wire:
        wire.send(post({"text": ["大" * 7000] * 2}) * 8)
        assert {wire.answer().status for _ in range(8)} == {200}


def test_a_body_may_come_in_chunks(text):
    body = json.dumps({"text": "abc"}).encode()
    head = get("/v1/predict", "Transfer-Encoding: chunked", method="POST")
    with Wire(text) as wire:
        plain = wire.send(post(body)).answer().json["scores"]
        assert wire.send(head + chunked(body[:4], body[4:])).answer().json["scores"] == plain
        extended = chunked(body).replace(b"\r\n", b";a=b\r\n", 1)
        assert wire.send(head + extended).answer().json["scores"] == plain


def test_trailers_are_no_headers(text):
    end = b"0\r\nX-Request-ID: late\r\nContent-Encoding: gzip\r\n\r\n"
    head = get("/v1/predict", "Transfer-Encoding: chunked", method="POST")
    with Wire(text) as wire:
        found = wire.send(head + chunked(b'{"text": "a"}', end=end)).answer()
        assert found.status == 200
        assert found.headers["x-request-id"] != "late"
        assert wire.send(get()).answer().status == 200


def test_a_client_that_expects_100_gets_it_before_its_body(text):
    head, _, body = post({"text": "a"}, "Expect: 100-continue").partition(b"\r\n\r\n")
    with Wire(text) as wire:
        assert wire.send(head + b"\r\n\r\n").answer().status == 100
        assert wire.send(body).answer().status == 200


def test_a_body_that_would_be_refused_is_not_waited_for(text):
    large = get("/v1/predict", "Content-Length: 9999999", "Expect: 100-continue", method="POST")
    with Wire(text) as wire:
        assert wire.send(large).answer().status == 413
        assert wire.rest() == b""


def test_connection_close_is_obeyed_and_told(text):
    with Wire(text) as wire:
        found = wire.send(post({"text": "a"}, "Connection: close") + get()).answer()
        assert found.headers["connection"] == "close"
        assert wire.rest() == b""


def test_http_1_0_keeps_a_connection_only_when_asked(text):
    old = get("/health/live", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    with Wire(text) as wire:
        found = wire.send(old).answer()
        assert found.headers["connection"] == "keep-alive"
        found = wire.send(old.replace(b"Connection", b"Other")).answer()
        assert (found.status, found.headers["connection"]) == (200, "close")
        assert wire.rest() == b""


def test_http_1_0_is_sent_no_100(text):
    old = post({"text": "a"}, "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    with Wire(text) as wire:
        assert wire.send(old).answer().status == 200


def test_a_client_that_hangs_up_leaves_no_trace(serve):
    with serve(LONG) as replica:
        with Wire(replica) as wire:
            wire.send(post({"text": ["a", "b"]}))
            until(lambda: gauge(replica, "queue_rows") == 2)
        until(lambda: gauge(replica, "queue_rows") == 0)
        with client(replica) as http:
            found = http.get("/metrics").text
        assert "openautoglm_replica_cancelled_total 1.0" in found
        assert "openautoglm_replica_batch_rows_count 0.0" in found


def test_a_request_cut_short_is_no_request(text):
    with Wire(text) as wire:
        assert wire.send(post({"text": "a"})[:-1]).finish().rest() == b""


MANY = 12  # calls of a stub that takes 0.3 seconds for each: it is busy meanwhile


@pytest.mark.parametrize("header", ["X-Request-Timeout-Ms", "X-Envoy-Expected-Rq-Timeout-Ms"])
def test_a_deadline_that_cannot_be_met_is_told(tmp_path, header):
    with (
        stub(tmp_path / "log", 0.3, "batching.max_batch_size=1") as replica,
        Wire(replica) as busy,
        Wire(replica) as hurried,
    ):
        busy.send(post({"text": "a"}) * MANY)
        until(lambda: gauge(replica, "queue_rows") >= 1)
        found = hurried.send(post({"text": "a"}, f"{header}: 20")).answer()
        assert (found.status, found.json["kind"]) == (429, "deadline")
        assert int(found.headers["retry-after"]) >= 1
        assert [busy.answer().status for _ in range(2)] == [200, 200]


def test_a_gateway_without_a_time_out_is_served(http):
    none = {"x-envoy-expected-rq-timeout-ms": "0"}
    assert http.post("/v1/predict", json={"text": "a"}, headers=none).is_success


def test_a_gateway_that_waits_longer_does_not_extend_the_replicas_own(tmp_path):
    patient = "X-Request-Timeout-Ms: 5000"
    with (
        stub(tmp_path / "log", 0.3, "batching.max_batch_size=1", "timeout_ms=20") as replica,
        Wire(replica) as busy,
        Wire(replica) as other,
    ):
        busy.send(post({"text": "a"}, patient) * MANY)
        until(lambda: gauge(replica, "queue_rows") >= 1)
        found = other.send(post({"text": "a"}, "X-Envoy-Expected-Rq-Timeout-Ms: 10000")).answer()
        assert (found.status, found.json["kind"]) == (429, "deadline")
        assert [busy.answer().status for _ in range(2)] == [200, 200]


def test_a_gateway_that_waits_very_long_is_served(http):
    hour = {"x-envoy-expected-rq-timeout-ms": "3600000"}
    assert http.post("/v1/predict", json={"text": "a"}, headers=hour).is_success


SLOW = "batching.max_queue_delay_microseconds=4000000"  # a lone row waits this long for company


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_answered_before_the_end(serve, number):
    with (
        serve(SLOW) as replica,
        Wire(replica) as busy,
        Wire(replica) as idle,
        Wire(replica) as half,
    ):
        assert idle.send(get()).answer().status == 200
        half.send(get("/health/ready")[:-2])
        busy.send(post({"text": "a"}) * 3)
        until(lambda: gauge(replica, "queue_rows") == 3)
        replica.process.send_signal(number)
        assert idle.rest() == b""
        late = half.send(b"\r\n").answer()
        assert (late.status, late.json["kind"]) == (503, "draining")
        assert late.headers["retry-after"] == "1"
        with pytest.raises(ConnectionError), Wire(replica):
            pass
        found = [busy.answer() for _ in range(3)]
        assert [one.status for one in found] == [200] * 3
        assert [one.headers.get("connection") for one in found] == [None, None, "close"]
        assert busy.rest() == b""
        assert replica.process.wait(PATIENCE) == 0


def test_what_takes_longer_than_the_drain_is_cut_off(serve):
    with serve(LONG, "drain_seconds=0.2") as replica, Wire(replica) as busy:
        busy.send(post({"text": "a"}))
        until(lambda: gauge(replica, "queue_rows") == 1)
        assert replica.stop() == 0
        assert busy.rest() == b""


def test_a_client_that_broke_off_is_forgotten(serve):
    with serve(LONG) as replica:
        with Wire(replica) as wire:
            wire.send(post({"text": "a"}))
            until(lambda: gauge(replica, "queue_rows") == 1)
            wire.break_off()
        until(lambda: gauge(replica, "queue_rows") == 0)
        until(lambda: gauge(replica, "cancelled_total") == 1)
        until(lambda: gauge(replica, "buffered_bytes") == 0)


def test_no_text_of_a_request_is_logged(serve):
    mark = "Zwölfeinhalb"
    asked = [
        post({"text": mark}),
        post({"text": mark, mark: mark}),
        post({"text": [mark, 1]}),
        post(f'{{"text": "{mark}'.encode()),
        post({"inputs": [{"name": mark}]}, path="/v2/models/small/infer"),
        post({"text": "a"}, f"X-Request-Timeout-Ms: {mark}"),
        get(f"/{mark.encode('ascii', 'ignore').decode()}"),
        get(f"/v1/predict?{mark.encode('ascii', 'ignore').decode()}"),
        mark.encode() * 3,
    ]
    with serve("access_log=all") as replica:
        for one in asked:
            with Wire(replica) as wire:
                wire.send(one).answer()
        assert replica.stop() == 0
        log = replica.log.read_text(encoding="utf-8")
    assert log.count('"answered"') == len(asked)
    assert "lfeinhalb" not in log


@pytest.mark.parametrize(("access_log", "told"), [("traced", 2), ("all", 6)])
def test_questions_for_health_are_logged_only_with_all(serve, access_log, told):
    paths = ("/health/live", "/v2/health/ready", "/v2/models/small/ready", "/health/ready")
    with serve("traces.ratio=1", f"access_log={access_log}") as replica:
        for one in (*map(get, paths), post({"text": "a"}), get("/openapi.json")):
            with Wire(replica) as wire:
                assert wire.send(one).answer().status == 200
        assert replica.stop() == 0
        log = replica.log.read_text(encoding="utf-8")
    assert log.count('"answered"') == told


def test_a_replica_imports_nothing_that_makes_a_model(text_folder, tmp_path):
    log = tmp_path / "log"
    with serving(text_folder, log, PYTHONPROFILEIMPORTTIME="1") as replica:
        for one in (post({"text": "a"}), post(b"{"), get("/metrics"), get("/openapi.json")):
            with Wire(replica) as wire:
                wire.send(one).answer()
        assert replica.stop() == 0
    lines = re.findall(r"^import time:.*\| +(\S+)$", log.read_text(encoding="utf-8"), re.MULTILINE)
    roots = {name.partition(".")[0] for name in lines}
    assert "onnxruntime" in roots
    assert roots.isdisjoint(FOREIGN)
