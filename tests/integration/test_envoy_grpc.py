"""gRPC through the port that HTTP uses too."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from openautoglm.config.gateway import Ejection, GatewayLimits
from openautoglm.routing.routes import Endpoint, Shadow
from tests.support.backends import HOST, Backends
from tests.support.envoy import gateways
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, until

ECHO = "/echo.Echo/Say"
HEALTH = ["/grpc.health.v1.Health/Check", "/inference.GRPCInferenceService/ServerReady"]


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, name):
        self.name = name.encode()
        self.seen = 0
        self.code = None

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self._say)

    def _say(self, request, context):
        self.seen += 1
        if self.code:
            context.abort(self.code, "for now")
        return self.name + b" " + request


@contextmanager
def echo(name):
    handler = _Echo(name)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    handler.port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield handler
    server.stop(0).wait()


@pytest.fixture
def one():
    with echo("one") as running:
        yield running


@pytest.fixture
def http():
    with Backends() as running:
        yield running.start("http")


@pytest.fixture
def say():
    """Calls through a port."""
    channels = []

    def call(port, words=b"hello", path=ECHO):
        channel = grpc.insecure_channel(
            f"{HOST}:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        channels.append(channel)
        return channel.unary_unary(path)(words, timeout=PATIENCE)

    yield call
    for channel in channels:
        channel.close()


def routes(http, echo, **more):
    place = Endpoint(HOST, http.port, echo.port if echo else None)
    return {"variants": {"v": (place,)}, "weights": {"v": 100}, **more}


def test_one_port_takes_both(tmp_path, http, one, say):
    with gateways(tmp_path) as place:
        place.apply(**routes(http, one))
        assert say(place.port) == b"one hello"
        assert place.ask().backend == "http"


def test_weights_hold_for_grpc_too(tmp_path, http, one, say):
    with gateways(tmp_path) as place, echo("two") as two:
        ends = {
            name: (Endpoint(HOST, http.port, it.port),) for name, it in (("a", one), ("b", two))
        }
        place.apply(variants=ends, weights={"a": 0, "b": 100})
        assert {say(place.port) for _ in range(20)} == {b"two hello"}
        place.apply(variants=ends, weights={"a": 100, "b": 0}, shadow=Shadow("b", 100))
        assert {say(place.port) for _ in range(20)} == {b"one hello"}
        until(lambda: two.seen == 40, what="the shadow got copies")


def test_what_a_replica_refuses_is_not_asked_again(tmp_path, http, one, say):
    one.code = grpc.StatusCode.UNAVAILABLE
    with gateways(tmp_path) as place:
        place.apply(**routes(http, one))
        with pytest.raises(grpc.RpcError, match="for now"):
            say(place.port)
    assert one.seen == 1


def test_a_replica_whose_model_fails_is_ejected(tmp_path, http, one, say):
    one.code = grpc.StatusCode.INTERNAL
    ejection = Ejection(consecutive_failures=3, seconds=600)
    with gateways(tmp_path, ejection=ejection) as place, echo("two") as two:
        places = tuple(Endpoint(HOST, http.port, it.port) for it in (one, two))
        place.apply(variants={"v": places}, weights={"v": 100})
        until(lambda: failed(say, place.port) and one.seen >= 3, what="it failed three times")
        # A thread of the gateway's ejects it, and may be a moment late.
        until(lambda: not any(failed(say, place.port) for _ in range(20)), what="it was ejected")
        assert {say(place.port) for _ in range(20)} == {b"two hello"}


def failed(say, port):
    try:
        say(port)
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.INTERNAL
    return False


def test_a_replica_that_is_gone_costs_no_call(tmp_path, http, one, say):
    places = (Endpoint(HOST, http.port, one.port), Endpoint(HOST, http.port, free_port()))
    with gateways(tmp_path) as place:
        place.apply(variants={"v": places}, weights={"v": 100})
        assert {say(place.port) for _ in range(20)} == {b"one hello"}


def test_without_a_grpc_replica_the_call_is_unavailable(tmp_path, http, say):
    with gateways(tmp_path) as place:
        place.apply(**routes(http, None))
        with pytest.raises(grpc.RpcError) as caught:
            say(place.port)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == "no replica is ready: ask again later"
        place.apply()
        with pytest.raises(grpc.RpcError) as caught:
            say(place.port)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == "no replica is ready: ask again later"


def test_more_calls_a_second_are_refused_as_exhausted_but_health_is_not(tmp_path, http, one, say):
    with gateways(tmp_path, limits=GatewayLimits(requests_per_second=1)) as place:
        place.apply(**routes(http, one))
        say(place.port)
        with pytest.raises(grpc.RpcError) as caught:
            until(lambda: say(place.port) is None)
        for path in HEALTH:
            assert {say(place.port, path=path) for _ in range(5)} == {b"one hello"}
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "more requests a second" in caught.value.details()
