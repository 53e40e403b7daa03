"""Spans and log lines of a replica's requests."""

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from openautoglm.serving.batching.job import Job
from openautoglm.serving.observe import logs
from openautoglm.serving.observe.context import make_context
from openautoglm.serving.observe.load import Load
from openautoglm.serving.observe.metrics import Gauges, Metrics
from openautoglm.serving.observe.observer import Observer
from openautoglm.serving.observe.tracing import Tracing
from openautoglm.serving.predictor import Identity
from openautoglm.serving.refusals import DEADLINE, FAILED, Refusal
from tests.support.wait import until

IDENTITY = Identity("clc", "3", "sha256-00ff", "transformer", "int8")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PRIVATE = "a text nobody may read 绝密"


class Sink:
    """A collector: keeps what it is sent, or answers with an error."""

    def __init__(self):
        self.requests = []
        self.status = 200
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(sink.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def spans(self):
        return {
            span.name: span
            for _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def resource(self):
        return attributes(self.requests[0][1].resource_spans[0].resource)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sink(monkeypatch):
    sink = Sink()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
    yield sink
    sink.close()


def attributes(holder):
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in holder.attributes
    }


def request(traceparent=None, protocol="http", ratio=1.0):
    return make_context(protocol=protocol, request_id="my-id", traceparent=traceparent, ratio=ratio)


def scored(context, rows=2):
    """A job that waited 10 ms, was tokenised in 2 and scored in 30."""
    job = Job([PRIVATE] * rows, [9] * rows, arrived=context.started, deadline=9e9, done=print)
    job.taken = job.begun = context.started + 0.010
    job.tokenised, job.inferred = job.begun + 0.002, job.begun + 0.032
    return job


def refused(context, kind):
    job = Job([PRIVATE], [9], arrived=context.started, deadline=9e9, done=print)
    job.refusal = Refusal(kind, "no")
    return job


def send(context, code, job):
    tracing = Tracing.start(IDENTITY)
    assert tracing.on
    tracing.finish(context, code=code, now=context.started + 0.045, job=job)
    tracing.stop()


# Spans


def test_a_request_is_one_span_of_the_server_with_its_parts(sink):
    context = request()
    send(context, "200", scored(context))
    spans = sink.spans()
    assert sorted(spans) == ["infer", "predict", "queue", "tokenise"]
    root = spans.pop("predict")
    assert root.kind == Span.SPAN_KIND_SERVER
    assert root.trace_id.hex() == context.trace_id
    assert root.parent_span_id == b""
    for span in spans.values():
        assert span.trace_id == root.trace_id
        assert span.parent_span_id == root.span_id
    assert len({root.span_id, *(span.span_id for span in spans.values())}) == 4


def test_the_times_are_those_of_the_request(sink):
    before = time.time_ns()
    context = request()
    after = time.time_ns()
    send(context, "200", scored(context))
    spans = sink.spans()
    root, queue, tokenise, infer = (
        spans[name] for name in ("predict", "queue", "tokenise", "infer")
    )
    assert before <= root.start_time_unix_nano <= after
    edges = [
        *(root.start_time_unix_nano, queue.start_time_unix_nano, queue.end_time_unix_nano),
        *(tokenise.end_time_unix_nano, infer.end_time_unix_nano, root.end_time_unix_nano),
    ]
    assert [round((edge - root.start_time_unix_nano) / 1e6) for edge in edges] == [
        0,
        0,
        10,
        12,
        42,
        45,
    ]
    assert queue.end_time_unix_nano == tokenise.start_time_unix_nano
    assert tokenise.end_time_unix_nano == infer.start_time_unix_nano


def test_the_span_is_a_child_of_the_callers(sink):
    context = request(f"00-{TRACE}-{SPAN}-01", ratio=0.0)
    send(context, "200", scored(context))
    root = sink.spans()["predict"]
    assert root.trace_id.hex() == TRACE
    assert root.parent_span_id.hex() == SPAN


def test_a_span_says_how_the_request_went(sink):
    context = request()
    send(context, "200", scored(context))
    root = sink.spans()["predict"]
    assert attributes(root) == {
        "openautoglm.request_id": "my-id",
        "openautoglm.rows": 2,
        "http.response.status_code": 200,
    }
    assert root.status.code == Status.STATUS_CODE_UNSET


def test_a_request_refused_in_the_queue_has_waited_until_then(sink):
    context = request(protocol="grpc")
    send(context, "DEADLINE_EXCEEDED", refused(context, DEADLINE))
    spans = sink.spans()
    assert sorted(spans) == ["predict", "queue"]
    assert spans["queue"].end_time_unix_nano == spans["predict"].end_time_unix_nano
    assert attributes(spans["predict"])["error.type"] == "deadline"
    assert attributes(spans["predict"])["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    assert spans["predict"].status.code == Status.STATUS_CODE_ERROR


@pytest.mark.parametrize(("code", "error"), [("400", False), ("429", False), ("503", True)])
def test_an_error_is_one_of_the_server(sink, code, error):
    context = request()
    send(context, code, None)
    (span,) = sink.spans().values()
    assert span.name == "request"
    assert (span.status.code == Status.STATUS_CODE_ERROR) == error


def test_spans_name_the_model(sink):
    context = request()
    send(context, "200", None)
    assert sink.requests[0][0] == "/v1/traces"
    resource = sink.resource()
    assert resource["service.name"] == "clc"
    assert resource["service.version"] == "3"
    assert resource["openautoglm.model.digest"] == "sha256-00ff"


def test_the_operator_may_name_the_service(sink, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    send(request(), "200", None)
    assert sink.resource()["service.name"] == "shop"
    assert sink.resource()["deployment.environment.name"] == "test"


def test_without_an_endpoint_there_are_no_spans_and_no_sdk():
    code = """
import sys
from openautoglm.serving.observe.tracing import Tracing
from openautoglm.serving.predictor import Identity
tracing = Tracing.start(Identity("clc", "3", "sha256-00ff", "transformer", "int8"))
tracing.stop()
print(tracing.on, [name for name in sys.modules if name.startswith(("opentelemetry", "torch"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False []"


def test_the_sdks_own_switch_turns_spans_off(sink, monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not Tracing.start(IDENTITY).on


def test_a_protocol_that_is_not_spoken_is_named(sink, monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    Tracing.start(IDENTITY).stop()
    assert "http/protobuf" in caplog.text
    assert "4318" in caplog.text


def test_a_failing_collector_is_told_of_once_and_touches_no_request(sink, monkeypatch, caplog):
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    sink.status = 400
    tracing = Tracing.start(IDENTITY)
    for _ in range(20):
        context = request()
        tracing.finish(context, code="200", now=context.started, job=None)
    tracing.stop()
    assert len(sink.requests) == 20
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, told
    assert sink.url in told[0]
    assert "400" in told[0]
    assert told[1] == "20 of 20 spans were not delivered"


def test_a_collector_that_comes_back_is_told_of(sink, monkeypatch, caplog):
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    sink.status = 400
    tracing = Tracing.start(IDENTITY)
    for count, status in ((1, 200), (2, 200)):
        context = request()
        tracing.finish(context, code="200", now=context.started, job=None)
        until(lambda count=count: len(sink.requests) == count)
        sink.status = status
    tracing.stop()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3, told
    assert "again" in told[1]
    assert told[2] == "1 of 2 spans were not delivered"


def test_more_spans_than_the_queue_holds_are_dropped_not_kept(sink, monkeypatch, caplog):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sink.status = 400
    tracing = Tracing.start(IDENTITY)
    for _ in range(500):
        context = request()
        tracing.finish(context, code="200", now=context.started, job=None)
    tracing.stop()
    assert caplog.records[-1].getMessage() == "500 of 500 spans were not delivered"
    assert len(caplog.records) <= 2


def test_to_stop_waits_no_longer_than_it_may(monkeypatch, caplog):
    hanging = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # accepts, never reads
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{hanging.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    tracing = Tracing.start(IDENTITY)
    context = request()
    tracing.finish(context, code="200", now=context.started, job=None)
    tracing.stop(0.05)
    hanging.server_close()
    assert "1 of 1 spans were not delivered" in caplog.text


# The log


@pytest.fixture
def log():
    """A logger of its own, and its lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JSONFormatter())
    loggers = [logging.getLogger(name) for name in ("openautoglm", "asyncio")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for logger, (level, propagate) in zip(loggers, before, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def test_an_answered_request_is_one_line_with_its_ids(log):
    context = request(f"00-{TRACE}-{SPAN}-01")
    logs.access(context, "429", 0.0123456, rows=2, kind="queue_full")
    (line,) = log()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "openautoglm.access",
        "message": "answered",
        "request_id": "my-id",
        "trace_id": TRACE,
        "protocol": "http",
        "code": "429",
        "seconds": 0.012346,
        "rows": 2,
        "kind": "queue_full",
    }


def test_the_time_is_utc():
    record = logging.makeLogRecord({"created": 1700000000.9996})
    assert json.loads(logs.JSONFormatter().format(record))["time"] == "2023-11-14T22:13:20.999Z"


def test_an_exception_is_text_with_its_place_and_cause(log):
    try:
        try:
            open("/no/such/file")  # noqa: SIM115, PTH123
        except OSError as error:
            raise ValueError(PRIVATE) from error
    except ValueError:
        logging.getLogger("openautoglm").exception("it broke")
    (line,) = log()
    assert line["level"] == "error"
    assert "No such file" in line["exception"]
    assert "test_replica_traces.py" in line["exception"]
    assert line["exception"].endswith("ValueError")


@pytest.mark.parametrize(("access_log", "told"), [("traced", False), ("all", True)])
def test_a_question_for_health_is_told_only_where_all_is(sink, log, access_log, told):
    gauges, tracing = Gauges(*(5 * [lambda: 0.0])), Tracing.start(IDENTITY)
    observer = Observer(Metrics(IDENTITY, gauges), Load(lambda: 0.0, 0.0), tracing, access_log)
    context = request()
    context.probe = True
    observer.answered(context, "200", context.started, None, None)
    tracing.stop()
    assert bool(sink.requests) == bool(log()) == told


def test_no_text_of_a_request_is_logged(log):
    context = request()
    gauges = Gauges(*(5 * [lambda: 0.0]))
    observer = Observer(
        Metrics(IDENTITY, gauges), Load(lambda: 0.0, 0.0), Tracing.start(IDENTITY), "all"
    )
    observer.answered(context, "200", context.started, scored(context), None)
    refusal = Refusal(FAILED, "the model failed on this input")
    try:
        PRIVATE.encode("ascii")
    except UnicodeError as error:
        refusal.__cause__ = error
        refusal.__cause__.__cause__ = RuntimeError(PRIVATE)
    observer.failed(context, refusal)
    asyncio = logging.getLogger("asyncio")
    failed = ValueError(PRIVATE)
    asyncio.error(f"Task exception was never retrieved\nfuture: {failed!r}", exc_info=failed)
    asyncio.error(f"Exception in callback tell({PRIVATE!r}) at x.py:1", exc_info=failed)
    logging.getLogger("openautoglm").info("odd", extra={"job": scored(context), "e": failed})
    lines = log()
    assert len(lines) == 5
    assert PRIVATE not in json.dumps(lines, ensure_ascii=False)
    assert "绝" not in json.dumps(lines, ensure_ascii=False)
    assert lines[1]["request_id"] == "my-id"
    assert "UnicodeEncodeError" in lines[1]["exception"]


@pytest.mark.parametrize(
    "record",
    [
        {"msg": "%d rows", "args": (PRIVATE,)},
        {"msg": "half a character", "half": "\ud800"},
        {"msg": "large", "number": 2**80},
        {"msg": "odd keys", "by": {(1, 2): 3, None: 4}},
        {"msg": "odd values", "by": object()},
    ],
)
def test_whatever_is_logged_is_one_line_of_json(record):
    line = logs.JSONFormatter().format(logging.makeLogRecord(record))
    assert json.loads(line)["message"] == record["msg"]
    assert "\n" not in line
    assert PRIVATE not in line


def test_everything_a_process_says_is_json(tmp_path):
    code = f"""
import logging, threading, warnings
from openautoglm.serving.observe import logs
logs.configure()
logging.getLogger("library").warning("careful: %s", "中文")
warnings.warn("old", stacklevel=1)
def die():
    raise ValueError({PRIVATE!r})
thread = threading.Thread(target=die, name="model")
thread.start()
thread.join()
logging.getLogger("library").debug("not shown")
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["warning", "warning", "critical"]
    assert lines[0]["message"] == "careful: 中文"
    assert lines[1]["logger"] == "py.warnings"
    assert "old" in lines[1]["message"]
    assert lines[2]["message"] == "thread `model` died"
    assert "die" in lines[2]["exception"]
