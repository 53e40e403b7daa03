"""What one real Envoy does between clients and backends, setting by setting."""

import math
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from json import loads

import pytest

from openautoglm.config.gateway import Breakers, Ejection, GatewayLimits, Retries
from openautoglm.routing.envoy import admin
from openautoglm.routing.routes import Endpoint
from tests.conformance.router import split
from tests.support.backends import HOST, Backends, Traffic, ask, exchange, process
from tests.support.envoy import counter, gateways, under_way
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, until

NO_RETRIES = Retries(attempts=0)
IN_TIME = int(1000 * PATIENCE)
"""Milliseconds of a request that is held."""
HEALTH = [
    *("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"),
    *("/v2/models/clc/ready", "/v2/models/clc/versions/3/ready"),
]


@pytest.fixture
def backends():
    with Backends() as running:
        yield running


@pytest.fixture
def gateway(tmp_path):
    """Starts a gateway before some backends, all of them replicas of one variant."""
    with ExitStack() as stack:

        def start(*members, **settings):
            running = stack.enter_context(gateways(tmp_path, **settings))
            places = tuple(one if isinstance(one, Endpoint) else one.endpoint for one in members)
            running.apply(variants={"v": places}, weights={"v": 100})
            return running

        yield start


def at_once(port, requests):
    with ThreadPoolExecutor(requests) as pool:
        return list(pool.map(lambda _: ask(port), range(requests)))


# Replicas that fail


def test_a_killed_replica_loses_no_request(gateway, backends):
    with process("mortal") as (running, endpoint):
        place = gateway(backends.start("other"), endpoint)
        with Traffic(place.port, clients=8) as traffic:
            until(lambda: traffic.answers[200, "mortal"] > 50, what="both answer")
            running.kill()
            running.wait()
            seen = traffic.total
            until(lambda: traffic.total > seen + 200, what="traffic goes on")
    assert traffic.failed == []


def test_a_killed_replica_loses_no_request_while_the_other_is_never_idle(gateway, backends):
    """The dead one has the fewest requests under way, and is not picked for that."""
    other = backends.start("other")
    other.latency = 0.02
    with process("mortal", latency=other.latency) as (running, endpoint):
        place = gateway(other, endpoint, ejection=Ejection(consecutive_failures=0))
        with Traffic(place.port, clients=8) as traffic:
            until(lambda: traffic.answers[200, "mortal"] > 50, what="both answer")
            running.kill()
            running.wait()
            seen = traffic.total
            until(lambda: traffic.total > seen + 200, what="traffic goes on")
    assert traffic.failed == []


def test_without_retries_only_what_was_under_way_there_is_lost(gateway, backends):
    with process("mortal") as (running, endpoint):
        place = gateway(backends.start("other"), endpoint, retries=NO_RETRIES)
        with Traffic(place.port, clients=8) as traffic:
            until(lambda: traffic.answers[200, "mortal"] > 50, what="both answer")
            running.kill()
            running.wait()
            until(lambda: ejections(place) == 1, what="it was ejected")
            until(lambda: not any_failed(traffic), what="nobody asks it any more")
    assert len(traffic.broken) == 0
    assert {status for status, _ in traffic.answers} <= {200, 503}


def any_failed(traffic):
    """Whether one of the next 100 requests fails."""
    total, failed = traffic.total, count_failed(traffic)
    until(lambda: traffic.total > total + 100)
    return count_failed(traffic) > failed


def count_failed(traffic):
    return sum(n for (status, _), n in traffic.answers.items() if status != 200)


def test_a_replica_that_answers_500_is_ejected(gateway, backends):
    sick = backends.start("sick")
    sick.status = 500
    ejection = Ejection(consecutive_failures=3, seconds=600)
    place = gateway(backends.start("well"), sick, ejection=ejection)
    assert split(place.port, 50)["500"] >= 3
    only_the_other_is_asked(place)


def only_the_other_is_asked(place):
    """One is ejected, by a thread of the gateway's that may be a moment late, for long."""
    until(lambda: split(place.port, 50) == {"well": 50}, what="only the other one is asked")
    assert ejections(place) == 1
    assert split(place.port, 50) == {"well": 50}


def test_an_ejected_replica_comes_back(gateway, backends):
    sick = backends.start("sick")
    sick.status = 500
    ejection = Ejection(consecutive_failures=3, seconds=0.2)
    place = gateway(backends.start("well"), sick, ejection=ejection)
    until(lambda: place.ask().status == 500 and len(sick.seen) >= 3, what="it was ejected")
    sick.status = 200
    until(lambda: place.ask().backend == "sick", what="it is asked again")


def test_a_replica_that_hangs_is_ejected(gateway, backends):
    hung = backends.start("hung")
    hung.status = None
    place = gateway(
        backends.start("well"),
        hung,
        timeout_ms=1000,
        balancing="round_robin",
        retries=NO_RETRIES,
        ejection=Ejection(consecutive_failures=3, seconds=600),
    )
    assert Counter(one.status for one in at_once(place.port, 16))[504] >= 3
    only_the_other_is_asked(place)


def test_a_replica_that_refuses_connections_is_ejected(gateway, backends):
    nobody = Endpoint(HOST, free_port())
    place = gateway(
        *(backends.start("well"), nobody),
        retries=NO_RETRIES,
        ejection=Ejection(consecutive_failures=3, seconds=600),
    )
    assert split(place.port, 50)["503"] >= 3
    only_the_other_is_asked(place)


def test_0_failures_never_eject(gateway, backends):
    sick = backends.start("sick")
    sick.status = 500
    place = gateway(backends.start("well"), sick, ejection=Ejection(consecutive_failures=0))
    split(place.port, 200)
    assert split(place.port, 100)["500"] > 20


def test_a_replica_that_refuses_for_now_is_neither_ejected_nor_asked_again(gateway, backends):
    full = backends.start("full")
    full.status = 503
    place = gateway(full)
    assert split(place.port, 30) == {"503": 30}
    assert len(full.seen) == 30
    assert ejections(place) == 0


def test_the_last_replica_is_asked_even_if_it_was_ejected(gateway, backends):
    sick = backends.start("sick")
    sick.status = 500
    place = gateway(sick, ejection=Ejection(consecutive_failures=1, max_percent=100, seconds=600))
    split(place.port, 10)
    until(lambda: ejections(place) == 1)
    sick.status = 200
    assert split(place.port, 10) == {"sick": 10}


# Bounds


def test_more_requests_a_second_are_refused_with_429(gateway, backends):
    place = gateway(backends.start("one"), limits=GatewayLimits(requests_per_second=5))

    def refusal():
        answer = place.ask(x_request_id="mine")
        return answer if answer.status == 429 else None

    refused = until(refusal)
    assert refused.headers["retry-after"] == "1"
    assert loads(refused.body) == {
        "error": "more requests a second than the gateway takes: ask again later",
        "kind": "rate_limited",
        "request_id": "mine",
    }


def test_more_requests_under_way_are_refused_with_503(gateway, backends):
    slow = backends.start("slow")
    slow.capacity = 4
    place = gateway(slow, breakers=Breakers(requests=2))
    answers = at_once(place.port, 12)
    assert {one.status for one in answers} == {200, 503}
    refused = next(one for one in answers if one.status == 503)
    assert refused.headers["retry-after"] == "1"
    assert loads(refused.body)["kind"] == "overloaded"
    assert "gateway.breakers" in loads(refused.body)["error"]


@pytest.mark.parametrize("path", HEALTH)
def test_health_is_answered_beyond_the_rate(gateway, backends, path):
    place = gateway(backends.start("one"), limits=GatewayLimits(requests_per_second=1))
    until(lambda: place.ask().status == 429)
    assert {place.ask(path).status for _ in range(20)} == {200}


def test_a_path_that_only_looks_like_health_counts_for_the_rate(gateway, backends):
    place = gateway(backends.start("one"), limits=GatewayLimits(requests_per_second=1))
    until(lambda: place.ask("/health/ready/v1/predict").status == 429)


@pytest.mark.parametrize(
    ("bounds", "full"), [({"requests": 1}, 1), ({"connections": 1, "pending": 1}, 2)]
)
def test_health_is_answered_when_all_else_is_refused(gateway, backends, bounds, full):
    busy = backends.start("busy")
    busy.status = None
    place = gateway(busy, breakers=Breakers(**bounds))
    with ThreadPoolExecutor(full) as pool:
        for count in range(1, full + 1):
            pool.submit(place.ask)
            until(lambda n=count: busy.seen and under_way(place.admins[0]) == n)
        busy.status = 200
        assert place.ask().status == 503
        assert {place.ask(path).status for path in HEALTH} == {200}
        backends.end(busy)


def test_more_that_wait_for_a_connection_are_refused_with_503(gateway, backends):
    slow = backends.start("slow")
    slow.capacity = 4
    place = gateway(slow, breakers=Breakers(connections=1, pending=2))
    assert {one.status for one in at_once(place.port, 12)} == {200, 503}
    assert len(slow.connections) == 1


def test_more_connections_are_closed(gateway, backends):
    place = gateway(backends.start("one"), limits=GatewayLimits(connections=2))
    kept = [socket.create_connection((HOST, place.port)) for _ in range(2)]
    until(lambda: connections(place.admins[0]) == 2)
    with socket.create_connection((HOST, place.port)) as third:
        assert third.recv(1) == b""
    for one in kept:
        one.close()
    until(lambda: connections(place.admins[0]) == 0)
    assert place.ask().status == 200


def test_a_request_that_takes_too_long_ends_with_504(gateway, backends):
    hung = backends.start("hung")
    hung.status = None
    answer = gateway(hung, timeout_ms=500).ask()
    assert answer.status == 504
    assert loads(answer.body)["kind"] == "deadline"
    until(lambda: hung.seen, what="it came to the replica")
    assert "x-envoy-expected-rq-timeout-ms: 500" in hung.seen[0]


def test_a_request_that_does_not_arrive_ends_with_408(gateway, backends):
    place = gateway(backends.start("one"), limits=GatewayLimits(request_seconds=0.2))
    with socket.create_connection((HOST, place.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
        assert client.recv(12) == b"HTTP/1.1 408"


def test_longer_headers_are_refused_with_431(gateway, backends):
    place = gateway(backends.start("one"), limits=GatewayLimits(header_bytes=2048))
    assert place.ask(x_long="a" * 1000).status == 200
    assert place.ask(x_long="a" * 3000).status == 431


def test_many_headers_are_taken_while_they_are_short(gateway, backends):
    place = gateway(backends.start("one"))
    assert place.ask(**{f"x_{number}": "a" for number in range(500)}).status == 200
    refused = place.ask(**{f"x_{number}": "" for number in range(1001)})
    assert refused.status == 431
    assert "or more" in loads(refused.body)["error"]


def test_a_gateway_adds_fewer_bytes_than_replicas_must_have_room_for(gateway, backends):
    one = backends.start("one")
    gateway(one).ask(x_long="a" * 10_000)
    assert len(one.seen[0]) < 10_000 + 1024


def test_a_used_connection_is_closed_after_its_idle_time(gateway, backends):
    busy = backends.start("busy")
    place = gateway(busy, limits=GatewayLimits(idle_seconds=1), timeout_ms=IN_TIME)
    with closing(HTTPConnection(HOST, place.port, timeout=PATIENCE)) as idle:
        exchange(idle)
        busy.holds = True
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(place.ask)
            until(lambda: busy.held)
            assert idle.sock.recv(1) == b""
            assert not waiting.done(), "one with a request under way is kept"
            backends.let_go(busy)
            assert waiting.result().status == 200


def test_a_request_just_after_the_idle_time_is_answered(gateway, backends):
    place = gateway(backends.start("one"), limits=GatewayLimits(idle_seconds=1))
    name = "http.gateway.downstream_cx_idle_timeout"

    def answered():
        with closing(HTTPConnection(HOST, place.port, timeout=PATIENCE)) as kept:
            exchange(kept)
            before = counter(place.admins[0], name)
            until(lambda: counter(place.admins[0], name) > before)
            try:
                return exchange(kept).status == 200
            except (HTTPException, OSError):  # it was more than just after
                return False

    until(answered)


# What the gateway answers itself


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"JUNK\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 403),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: odd\r\n\r\n", 501),
    ],
)
def test_what_is_refused_is_told_why(gateway, backends, request_bytes, status):
    place = gateway(backends.start("one"))
    with socket.create_connection((HOST, place.port), timeout=PATIENCE) as client:
        client.sendall(request_bytes)
        with HTTPResponse(client) as answer:
            answer.begin()
            told = loads(answer.read())
    assert answer.status == status
    assert len(told["error"]) > 20
    assert "-" not in told["error"].split()


def test_a_replica_that_cannot_be_reached_or_dies_is_told_as_such(gateway, backends):
    place = gateway(Endpoint(HOST, free_port()), retries=NO_RETRIES)
    assert "could be reached" in loads(place.ask().body)["error"]
    dies = backends.start("dies")
    dies.status = None
    place.apply(variants={"v": (dies.endpoint,)}, weights={"v": 100})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(place.ask)
        until(lambda: dies.seen)
        backends.end(dies)
    assert "ended while it had the request" in loads(answer.result().body)["error"]


# What passes through


def test_answers_keep_their_headers_and_get_none_of_the_replicas_load(gateway, backends):
    one = backends.start("one")
    one.load = "application_utilization=0.5, rps_fractional=10"
    answer = gateway(one).ask(x_request_id="mine")
    assert answer.headers["x-model-digest"] == "d"
    assert answer.headers["x-request-id"] == "mine"
    assert not answer.headers.keys() & {"server", "endpoint-load-metrics"}
    assert "x-request-id: mine" in one.seen[0]


def test_a_request_without_a_name_gets_one(gateway, backends):
    one = backends.start("one")
    answer = gateway(one).ask()
    assert f"x-request-id: {answer.headers['x-request-id']}" in one.seen[0]


def test_clients_set_neither_retries_nor_timeouts(gateway, backends):
    one = backends.start("one")
    one.status = 503
    place = gateway(one)
    place.ask(x_envoy_retry_on="5xx", x_envoy_max_retries="5", x_envoy_upstream_rq_timeout_ms="1")
    assert len(one.seen) == 1


def test_http_1_0_is_answered(gateway, backends):
    place = gateway(backends.start("one"))
    with socket.create_connection((HOST, place.port)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"


def test_without_a_replica_the_answer_is_one_of_ours(gateway):
    place = gateway(Endpoint(HOST, free_port()), retries=NO_RETRIES)
    place.apply()
    answer = place.ask(x_request_id='a"b')
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert loads(answer.body) == {
        "error": "no replica is ready: ask again later",
        "kind": "overloaded",
        "request_id": 'a"b',
    }


# Balancing


@pytest.mark.parametrize("balancing", ["least_request", "round_robin", "load_weighted"])
def test_equal_replicas_get_equal_shares(gateway, backends, balancing):
    names = ["a", "b", "c", "d"]
    place = gateway(*map(backends.start, names), balancing=balancing)
    found = split(place.port, 800)
    five_sigma = 5 * math.sqrt(800 * 0.25 * 0.75)
    assert all(abs(found[name] - 200) <= five_sigma for name in names)


def test_least_request_spares_a_slow_replica(gateway, backends):
    slow, fast = backends.start("slow"), backends.start("fast")
    slow.capacity = 20
    place = gateway(slow, fast, balancing="least_request")
    with Traffic(place.port, clients=4) as traffic:
        until(lambda: traffic.total > 500)
    # Drawn twice it is taken all the same: a quarter, where taking turns would give it half.
    assert traffic.answers[200, "fast"] > 2 * traffic.answers[200, "slow"]


def test_load_weighted_follows_what_replicas_tell(gateway, backends):
    idle, busy = backends.start("idle"), backends.start("busy")
    idle.load = "application_utilization=0.2, rps_fractional=100"
    busy.load = "application_utilization=0.8, rps_fractional=100"
    place = gateway(idle, busy, balancing="load_weighted")
    until(lambda: split(place.port, 100)["idle"] >= 75, what="weights 4 to 1")


# The end of a gateway


def test_a_drained_gateway_answers_what_it_has_and_takes_no_more(gateway, backends):
    busy = backends.start("busy")
    place = gateway(busy, timeout_ms=IN_TIME)
    (socket_of,) = place.admins
    with closing(HTTPConnection(HOST, place.port)) as kept, ThreadPoolExecutor(1) as pool:
        exchange(kept)
        busy.holds = True
        waiting = pool.submit(place.ask)
        until(lambda: busy.held)
        assert under_way(socket_of) == 1
        admin.drain(socket_of)
        until(lambda: refuses(place.port), what="no more connections are taken")
        backends.let_go(busy)
        last = exchange(kept)
        assert (last.status, last.headers["connection"]) == (200, "close")
        assert waiting.result().status == 200
        until(lambda: under_way(socket_of) == 0)


def test_one_of_two_gateways_drains_and_no_request_fails(gateway, backends):
    place = gateway(backends.start("one"), processes=2)
    first, _ = place.admins
    with Traffic(place.port, clients=8) as traffic:
        until(lambda: traffic.total > 200)
        admin.drain(first)
        until(lambda: connections(first) == 0, what="clients moved to the other gateway")
        place.kill(first)
        place.start(first)
        seen = traffic.total
        until(lambda: traffic.total > seen + 200)
    assert traffic.failed == []


def ejections(place):
    return counter(place.admins[0], "cluster.v.outlier_detection.ejections_enforced_total")


def refuses(port):
    """Whether nobody listens; a connection that met the closing port may still be reset."""
    try:
        ask(port)
    except ConnectionResetError:
        return False
    except ConnectionRefusedError:
        return True


def connections(socket_of):
    return counter(socket_of, "http.gateway.downstream_cx_active")
