"""What Prometheus and the gateway are told about a replica."""

import math
import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from openautoglm.serving.observe.load import Load
from openautoglm.serving.observe.metrics import LATENCY_EDGES, ROW_EDGES, Gauges, Metrics
from openautoglm.serving.predictor import Identity
from openautoglm.serving.refusals import KINDS

IDENTITY = Identity('c"l\\c', "3", "sha256-00ff", "transformer", "int8")


@pytest.fixture
def state():
    return {"queue_rows": 7, "connections": 3, "buffered_bytes": 0, "ready": True, "load": 0.5}


@pytest.fixture
def metrics(state):
    return Metrics(
        IDENTITY,
        Gauges(
            queue_rows=lambda: state["queue_rows"],
            connections=lambda: state["connections"],
            buffered_bytes=lambda: state["buffered_bytes"],
            ready=lambda: state["ready"],
            utilisation=lambda: state["load"],
        ),
    )


def read(metrics):
    """Every sample, by name without the prefix and by values of its labels (in their order)."""
    body, _ = metrics.render(None)
    return {
        (sample.name.removeprefix("openautoglm_replica_"), *sample.labels.values()): sample.value
        for family in plain(body.decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_protocol_and_code(metrics):
    for protocol, code in [("http", "200"), ("http", "200"), ("http", "429"), ("grpc", "OK")]:
        metrics.answered(protocol, code, 0.01)
    found = read(metrics)
    assert found["requests_total", "200", "http"] == 2
    assert found["requests_total", "429", "http"] == 1
    assert found["requests_total", "OK", "grpc"] == 1
    assert found["request_seconds_count",] == 4
    assert found["request_seconds_sum",] == pytest.approx(0.04)


def test_every_kind_of_refusal_is_there_before_the_first(metrics):
    found = read(metrics)
    assert [found["refusals_total", kind.name] for kind in KINDS] == [0] * len(KINDS)
    metrics.refused("queue_full")
    assert read(metrics)["refusals_total", "queue_full"] == 1


@pytest.mark.parametrize("edge", LATENCY_EDGES)
def test_a_request_at_an_objective_meets_it_and_one_just_above_does_not(metrics, edge):
    metrics.answered("http", "200", edge)
    metrics.answered("http", "200", math.nextafter(edge, math.inf))
    assert read(metrics)["request_seconds_bucket", str(edge)] == 1


def test_the_usual_objectives_are_edges():
    usual = [0.001, 0.002, 0.0025, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 2.5]
    assert {0.0005, *usual, 5, 10} <= set(LATENCY_EDGES)
    assert sorted(set(LATENCY_EDGES)) == list(LATENCY_EDGES)
    assert ROW_EDGES[:4] == (1, 2, 4, 8)


def test_a_request_slower_than_every_edge_is_counted(metrics):
    metrics.queued(99.0)
    found = read(metrics)
    assert found["queue_seconds_bucket", "10.0"] == 0
    assert found["queue_seconds_bucket", "+Inf"] == 1


def test_a_batch_tells_its_rows_and_both_times(metrics):
    metrics.batch(12, 0.001, 0.004)
    found = read(metrics)
    assert found["batch_rows_bucket", "8.0"] == 0
    assert found["batch_rows_bucket", "16.0"] == 1
    assert found["tokenise_seconds_sum",] == 0.001
    assert found["infer_seconds_sum",] == 0.004


def test_cache_and_callers_that_left_are_counted(metrics):
    for hit in (True, True, False):
        metrics.cache(hit)
    metrics.cancelled()
    found = read(metrics)
    assert found["cache_hits_total",] == 2
    assert found["cache_misses_total",] == 1
    assert found["cancelled_total",] == 1


def test_gauges_are_read_when_somebody_asks(metrics, state):
    assert read(metrics)["queue_rows",] == 7
    assert read(metrics)["ready",] == 1
    state |= {"queue_rows": 0, "ready": False, "load": 1.25}
    found = read(metrics)
    assert (found["queue_rows",], found["ready",], found["utilisation",]) == (0, 0, 1.25)


def test_the_model_is_named(metrics):
    families = {family.name: family for family in plain(metrics.render(None)[0].decode())}
    (sample,) = families["openautoglm_replica_info"].samples
    assert sample.labels == IDENTITY._asdict()


def test_the_process_and_its_garbage_collector_are_there(metrics):
    body = metrics.render(None)[0].decode()
    assert "process_resident_memory_bytes" in body
    assert "python_gc_collections_total" in body


def test_every_series_says_what_it_is(metrics):
    metrics.answered("http", "200", 0.01)
    for family in plain(metrics.render(None)[0].decode()):
        assert family.documentation, family.name


def test_openmetrics_is_for_those_who_ask(metrics):
    metrics.answered("http", "200", 0.01)
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    body, content_type = metrics.render(accept)
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(body.decode())}
    assert "openautoglm_replica_requests" in names
    for other in (None, "", "*/*", "text/plain", "text/html, application/json;version=\xe4"):
        assert metrics.render(other)[1].startswith("text/plain; version=0.0.4")


def test_a_strange_accept_header_does_no_harm(metrics):
    body, _ = metrics.render("application/openmetrics-text;version=x;escaping=y")
    assert body.endswith(b"# EOF\n")


def test_nothing_is_lost_between_two_threads_and_a_reader(metrics):
    count = 5_000
    done = threading.Event()
    seen = []

    def model():
        for _ in range(count):
            metrics.batch(1, 0.001, 0.001)

    def reader():
        while not done.is_set():
            found = read(metrics)
            seen.append(found["infer_seconds_count",] == found["infer_seconds_bucket", "+Inf"])

    threads = [threading.Thread(target=model), threading.Thread(target=reader)]
    for thread in threads:
        thread.start()
    for _ in range(count):
        metrics.answered("http", "200", 0.001)
    threads[0].join(30)
    done.set()
    threads[1].join(30)
    found = read(metrics)
    assert found["batch_rows_count",] == found["infer_seconds_count",] == count
    assert found["requests_total", "200", "http"] == found["request_seconds_count",] == count
    assert all(seen)


# Load


def test_utilisation_is_the_share_of_time_the_model_worked():
    load = Load(lambda: 0.0, 100.0)
    for tick in range(1, 31):
        load.busy(0.042)
        load.answered(True)
        report = load.report(100.0 + tick * 0.1)
    assert report.utilisation == pytest.approx(0.42, abs=0.01)
    assert report.rps == pytest.approx(10, abs=0.5)
    assert report.eps == 0


def test_waiting_requests_push_a_full_replica_above_one():
    load = Load(lambda: 0.25, 0.0)
    load.busy(1.0)
    assert load.report(1.0).utilisation == pytest.approx(1.25)


def test_one_long_batch_is_no_more_than_all_of_the_time():
    load = Load(lambda: 5.0, 0.0)
    load.busy(30.0)
    assert load.report(1.0).utilisation == 2.0


def test_failures_are_told_apart():
    load = Load(lambda: 0.0, 0.0)
    for ok in (True, True, False):
        load.answered(ok)
    assert load.report(1.0)[1:] == (2.0, 1.0)


def test_what_is_over_is_forgotten():
    load = Load(lambda: 0.0, 0.0)
    load.busy(1.0)
    load.answered(False)
    for tick in range(1, 13):
        load.report(1.0 + tick * 0.1)
    assert load.report(2.3) == (1e-4, 0.0, 0.0)  # of 0 the gateway would make nothing


def test_the_first_second_is_no_wild_guess():
    load = Load(lambda: 0.0, 0.0)
    load.answered(True)
    assert load.report(0.001).rps == 1.0


def test_history_is_bounded_however_often_it_is_asked_for():
    load = Load(lambda: 0.0, 0.0)
    for tick in range(10_000):
        load.report(tick / 1000)
    assert len(load._past) <= 12


def parse(header):
    """As Envoy reads the text form: known keys, once each, finite numbers."""
    assert header.startswith(b"TEXT ")
    pairs = [part.strip().split("=") for part in header[5:].decode().split(",")]
    assert [key for key, _ in pairs] == ["application_utilization", "rps_fractional", "eps"]
    return tuple(float(value) for _, value in pairs)


def test_the_header_is_what_envoy_reads():
    load = Load(lambda: 0.0, 0.0)
    load.busy(0.42)
    load.answered(True)
    header = load.header(1.0)
    assert header == b"TEXT application_utilization=0.4200, rps_fractional=1.000, eps=0.000"
    assert parse(header) == (0.42, 1.0, 0.0)


def test_the_header_is_made_anew_every_tenth_of_a_second():
    load = Load(lambda: 0.0, 0.0)
    first = load.header(1.0)
    load.answered(True)
    assert load.header(1.05) is first
    assert parse(load.header(1.11))[1] > 0


def test_a_replica_that_only_fails_gets_next_to_nothing():
    load = Load(lambda: 0.0, 0.0)
    for _ in range(300):
        load.answered(False)
    utilisation, rps, eps = parse(load.header(1.0))
    assert rps / (utilisation + eps / rps) < 1
    assert rps > 0, "a report of no requests would leave the old weight as it is"


def test_a_replica_too_fast_to_measure_is_still_heard():
    load = Load(lambda: 0.0, 0.0)
    load.busy(1e-7)
    load.answered(True)
    assert parse(load.header(1.0))[0] > 0
