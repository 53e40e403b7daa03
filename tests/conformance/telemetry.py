"""What every Telemetry must pass; a subclass gives the fixture `place`."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import grpc
import pytest
from pydantic import TypeAdapter

from openautoglm.rollout.telemetry import Telemetry
from openautoglm.routing.counts import Counts, Look, Totals
from openautoglm.routing.routes import Endpoint, Routes, Shadow
from tests.conformance.router import split, variants
from tests.support.backends import HOST, Backend, Backends, ask
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, until

STORED = TypeAdapter(Totals)
_NUMBERS = itertools.count()


class Place(Protocol):
    """A service with gateways that count.

    Attributes:
        port: Where clients ask.
        one_gateway: Name of the gateway that the methods below are about; there is another one.
    """

    port: int
    one_gateway: str

    def telemetry(self) -> Telemetry:
        """A telemetry, as a new process would make it."""

    def apply(self, routes: Routes, *, timeout_ms: int = 60_000) -> None:
        """Put routes into force by which a request may take so long."""

    def kill(self) -> None:
        """End one gateway as a crash would."""

    def start(self) -> None:
        """Start that one again."""

    def pause(self) -> None:
        """One gateway does nothing, and answers nobody, until it may `go_on`."""

    def go_on(self) -> None:
        """It works again."""


class Trio:
    """Three backends, each the only replica of its variant, which no other test has had.

    What was counted of an earlier test's variant may be told late.
    """

    def __init__(self, backends: Backends) -> None:
        number = next(_NUMBERS)
        self.one, self.two, self.three = (
            backends.start(f"{name}-{number}") for name in ("one", "two", "three")
        )

    def routes(self, shadow: Backend | None = None, **weights: int) -> Routes:
        """Weights of some; a shadow gets all copies, and needs a weight of 0."""
        named = [getattr(self, name) for name in weights]
        told = {one.name: weight for one, weight in zip(named, weights.values(), strict=True)}
        return Routes(variants(*named), told, Shadow(shadow.name, 100) if shadow else None)

    def with_grpc(self, port: int) -> Routes:
        """One, with a port for gRPC."""
        return Routes({self.one.name: (Endpoint(HOST, self.one.port, port),)}, {self.one.name: 100})

    def replicas(self, *places: Endpoint) -> Routes:
        """One, with these replicas."""
        return Routes({self.one.name: places}, {self.one.name: 100})


class Watch:
    """Looks again and again, as a rollout does, and stores what the next look starts from.

    Attributes:
        variants: Clients' requests so far, by variant.
        copies: Copies so far.
        copied: Of `variants`, what copies may be compared with.
        looks: Every look since the first.
    """

    def __init__(self, telemetry: Telemetry, stored: str | None = None) -> None:
        self.telemetry = telemetry
        self.stored = stored or _first(telemetry)
        self.variants: defaultdict[str, Counts] = defaultdict(Counts)
        self.copies: defaultdict[str, Counts] = defaultdict(Counts)
        self.copied: defaultdict[str, Counts] = defaultdict(Counts)
        self.looks: list[Look] = []

    def look(self) -> Look:
        found = self.telemetry.look(STORED.validate_json(self.stored))
        self.stored = _text(found.totals)
        for total, more in (
            (self.variants, found.variants),
            (self.copies, found.copies),
            (self.copied, found.copied),
        ):
            for name, counts in more.items():
                assert not counts.went_back
                total[name] += counts
        self.looks.append(found)
        return found

    def until(self, condition: Callable[[], object], what: str = "it was counted") -> None:
        """Look until something is so."""

        def seen() -> object:
            self.look()
            return condition()

        until(seen, what=what)

    def counted(self, variant: str, requests: int, *, timed: int | None = None) -> Counts:
        """What there is of a variant, once that much of it was counted; no more may come."""

        def all_of_it() -> bool:
            found = self.variants[variant]
            longest = found.timed[-1] if found.timed else 0
            return found.requests >= requests and (timed is None or longest >= timed)

        self.until(all_of_it, f"{requests} requests to {variant} were counted")
        self.look()
        found = self.variants[variant]
        assert found.requests == requests
        return found

    def lost(self) -> set[str]:
        return {name for look in self.looks for name in look.lost}


def _first(telemetry: Telemetry) -> str:
    """Where the next look starts: a busy gateway that does not tell now would be lost then."""

    def begun() -> Look | None:
        look = telemetry.look(None)
        return None if look.missing else look

    return _text(until(begun, what="every gateway tells").totals)


def _text(totals: Totals) -> str:
    return STORED.dump_json(totals).decode()


def plain(counts: Counts) -> dict[str, int]:
    """What is not 0, latencies aside."""
    return {name: n for name, n in vars(counts).items() if isinstance(n, int) and n}


@contextmanager
def breaks_off() -> Iterator[tuple[Endpoint, list[int]]]:
    """A replica that reads a request and ends the connection; the list has a 1 for each."""
    broken: list[int] = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    broken.append(1)

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield Endpoint(HOST, server.getsockname()[1]), broken
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


class Echo(grpc.GenericRpcHandler):
    """Answers every call, with `code` when there is one."""

    code: grpc.StatusCode | None = None

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._say)

    def _say(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if self.code:
            context.abort(self.code, "for now")
        return request


@contextmanager
def echo() -> Iterator[tuple[Echo, int]]:
    """One that listens, and its port."""
    handler = Echo()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield handler, port
    server.stop(0).wait()


def call(port: int, path: str = "/inference.GRPCInferenceService/ModelInfer") -> None:
    """One call, whatever comes of it."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{HOST}:{port}", options=own) as channel:
        asked = channel.unary_unary(path).future(b"x", timeout=PATIENCE)
        asked.exception()


class TelemetryConformance:
    """Tests of the promises in `Telemetry` and `Look`."""

    @pytest.fixture
    def trio(self) -> Iterator[Trio]:
        with Backends() as backends:
            yield Trio(backends)

    @pytest.fixture
    def watch(self, place: Place) -> Watch:
        return Watch(place.telemetry())

    def test_the_first_look_begins(self, place, trio):
        place.apply(trio.routes(one=100))
        ask(place.port)
        look = place.telemetry().look(None)
        assert (look.variants, look.copies, look.missing, look.lost) == ({}, {}, (), ())

    @pytest.mark.parametrize(
        ("status", "more"),
        [
            (200, {}),
            (201, {}),
            (400, {"refused": 1}),
            (404, {"refused": 1}),
            (413, {"refused": 1}),
            (429, {"errors": 1, "shed": 1}),
            (500, {"errors": 1}),
            (502, {"errors": 1}),
            (503, {"errors": 1, "shed": 1}),
        ],
    )
    def test_an_answer_is_counted_once_as_what_it_is(self, place, trio, watch, status, more):
        place.apply(trio.routes(one=100))
        trio.one.status = status
        assert ask(place.port).status == status
        assert plain(watch.counted(trio.one.name, 1)) == {"requests": 1, **more}

    @pytest.mark.parametrize(
        ("code", "more"),
        [
            (None, {}),
            ("INVALID_ARGUMENT", {"refused": 1}),
            ("INTERNAL", {"errors": 1}),
            ("RESOURCE_EXHAUSTED", {"errors": 1, "shed": 1}),
            ("UNAVAILABLE", {"errors": 1, "shed": 1}),
        ],
    )
    def test_so_is_a_call_over_grpc(self, place, trio, watch, code, more):
        with echo() as (handler, port):
            place.apply(trio.with_grpc(port))
            handler.code = grpc.StatusCode[code] if code else None
            call(place.port)
            assert plain(watch.counted(trio.one.name, 1)) == {"requests": 1, **more}

    def test_both_protocols_are_one_variant(self, place, trio, watch):
        with echo() as (_, port):
            place.apply(trio.with_grpc(port))
            for _ in range(3):
                call(place.port)
                ask(place.port)
            found = watch.counted(trio.one.name, 6, timed=6)
        assert plain(found) == {"requests": 6}
        assert set(found.timed) == {6}

    def test_what_is_no_prediction_is_not_counted(self, place, trio, watch):
        with echo() as (_, port):
            place.apply(trio.with_grpc(port))
            for path in ("ServerLive", "ServerReady", "ModelReady", "ModelMetadata"):
                call(place.port, f"/inference.GRPCInferenceService/{path}")
            call(place.port, "/grpc.health.v1.Health/Check")
            ask(place.port, "/v1/feedback")
            for path in ("/health/ready", "/v2/health/live", "/openapi.json"):
                get(place.port, path)
            ask(place.port)
            watch.counted(trio.one.name, 1)

    @pytest.mark.parametrize("latency", [0.0, 0.06, 0.3])
    def test_an_answer_is_slow_by_the_edges_that_it_took_longer_than(
        self, place, trio, watch, latency
    ):
        place.apply(trio.routes(one=100))
        trio.one.latency = latency
        begin = time.monotonic()
        ask(place.port)
        took = time.monotonic() - begin
        found = watch.counted(trio.one.name, 1, timed=1)
        edges = watch.telemetry.edges
        assert set(found.timed) == {1}
        assert len(found.slow) == len(edges)
        slower = [edge for edge, slow in zip(edges, found.slow, strict=True) if slow]
        # The gateway measures a bit more than the replica, and a bit less than the client.
        assert {edge for edge in edges if edge < 0.95 * latency} <= set(slower)
        assert set(slower) <= {edge for edge in edges if edge < took}

    def test_one_that_takes_too_long_is_an_error_and_slow(self, place, trio, watch):
        place.apply(trio.routes(one=100), timeout_ms=700)
        trio.one.status = None
        begin = time.monotonic()
        assert ask(place.port).status == 504
        took = time.monotonic() - begin
        found = watch.counted(trio.one.name, 1, timed=1)
        assert plain(found) == {"requests": 1, "errors": 1}
        edges = watch.telemetry.edges
        slower = {edge for edge, slow in zip(edges, found.slow, strict=True) if slow}
        assert {edge for edge in edges if edge < 0.7} <= slower
        assert slower <= {edge for edge in edges if edge < took}

    def test_a_client_that_leaves_tells_that_the_answer_takes_longer(self, place, trio, watch):
        place.apply(trio.routes(one=100))
        trio.one.status = None
        with socket.create_connection((HOST, place.port)) as client:
            client.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            until(lambda: trio.one.seen)
            begin = time.monotonic()
            until(lambda: time.monotonic() - begin > 0.12)
        found = watch.counted(trio.one.name, 1)
        assert plain(found) == {"requests": 1, "abandoned": 1}
        watch.until(lambda: sum(watch.variants[trio.one.name].slow) > 0)
        found, edges = watch.variants[trio.one.name], watch.telemetry.edges
        assert found.timed == found.slow
        # Whether it would have been answered later than that, nobody knows.
        assert all(found.slow[edges.index(edge)] for edge in edges if edge <= 0.1)
        assert not found.timed[-1]

    def test_a_replica_that_breaks_off_is_an_error(self, place, trio, watch):
        with breaks_off() as (bad, _):
            place.apply(trio.replicas(bad))
            assert ask(place.port).status == 503
            assert plain(watch.counted(trio.one.name, 1)) == {"requests": 1, "errors": 1}

    def test_a_failed_attempt_cannot_hide_behind_the_next_one(self, place, trio, watch):
        with breaks_off() as (bad, broken):
            place.apply(trio.replicas(bad, trio.one.endpoint))
            assert {ask(place.port).status for _ in range(30)} == {200}
            found = watch.counted(trio.one.name, 30)
        assert len(broken) > 0
        assert plain(found) == {"requests": 30, "errors": len(broken), "retried": len(broken)}

    def test_a_variant_that_cannot_be_reached_errs(self, place, trio, watch):
        place.apply(trio.routes(one=100))
        place.apply(trio.replicas(Endpoint(HOST, free_port())))
        assert {ask(place.port).status for _ in range(3)} == {503}
        assert plain(watch.counted(trio.one.name, 3)) == {"requests": 3, "errors": 3}

    def test_requests_without_a_variant_are_nobodys(self, place, trio, watch):
        place.apply(Routes())
        assert ask(place.port).status == 503
        place.apply(trio.routes(one=100))
        assert ask(place.port, "/metrics").status == 404
        ask(place.port)
        watch.counted(trio.one.name, 1)
        assert {name for name, found in watch.variants.items() if found.requests} == {trio.one.name}

    def test_the_observed_split_is_what_replicas_saw(self, place, trio, watch):
        place.apply(trio.routes(one=70, two=30))
        found = split(place.port, 300)
        for name in (trio.one.name, trio.two.name):
            assert plain(watch.counted(name, found[name])) == {"requests": found[name]}

    def test_copies_are_counted_apart(self, place, trio, watch):
        trio.three.status = 500
        place.apply(trio.routes(one=100, three=0, shadow=trio.three))
        assert split(place.port, 40) == {trio.one.name: 40}
        assert plain(watch.counted(trio.one.name, 40)) == {"requests": 40}
        watch.until(lambda: watch.copies[trio.three.name].requests == 40)
        assert plain(watch.copies[trio.three.name]) == {"requests": 40, "errors": 40}
        assert plain(watch.variants[trio.three.name]) == {}
        trio.three.status, trio.three.latency = 200, 0.3
        split(place.port, 10)
        watch.until(lambda: sum(watch.copies[trio.three.name].slow) > 0)
        assert watch.variants[trio.one.name].slow[-1] == 0
        place.apply(trio.routes(one=50, three=50))
        trio.three.latency = 0
        split(place.port, 20)
        watch.until(lambda: watch.variants[trio.three.name].requests > 0)
        assert watch.copies[trio.three.name].errors == 40

    def test_copies_have_what_they_may_be_compared_with(self, place, trio, watch):
        with echo() as (_, port):
            three = (Endpoint(HOST, trio.three.port, port),)
            variants = {**trio.with_grpc(port).variants, trio.three.name: three}
            shadow = Shadow(trio.three.name, 100)
            place.apply(Routes(variants, {trio.one.name: 100}, shadow))
            split(place.port, 20)
            for _ in range(5):
                call(place.port)
            watch.counted(trio.one.name, 25)
            watch.until(lambda: watch.copies[trio.three.name].requests >= 20)
        assert watch.copied[trio.one.name].requests == watch.copies[trio.three.name].requests

    def test_variants_come_and_go_between_looks(self, place, trio, watch):
        asked = 0
        for _ in range(3):
            place.apply(trio.routes(one=100))
            place.apply(trio.routes(one=50, two=50))
            asked += 20
            split(place.port, 20)
            place.apply(trio.routes(two=100))
            place.apply(Routes(variants(trio.two, trio.one), {trio.two.name: 100}))
        names = (trio.one.name, trio.two.name)
        watch.until(lambda: sum(watch.variants[name].requests for name in names) >= asked)
        watch.look()
        assert sum(watch.variants[name].requests for name in names) == asked
        assert watch.lost() == set()

    def test_whoever_goes_on_counts_nothing_twice_and_leaves_nothing_out(self, place, trio, watch):
        place.apply(trio.routes(one=100))
        split(place.port, 30)
        watch.counted(trio.one.name, 30, timed=30)
        split(place.port, 10)
        # The first one is killed after a look that it could not store.
        watch.telemetry.look(STORED.validate_json(watch.stored))
        then = Watch(place.telemetry(), watch.stored)
        then.counted(trio.one.name, 10, timed=10)
        assert then.lost() == set()

    def test_a_gateway_that_cannot_be_asked_is_missing_and_covered_later(self, place, trio, watch):
        place.apply(trio.routes(one=100))
        split(place.port, 40, connections=20)
        place.pause()
        try:
            until(lambda: watch.look().missing == (place.one_gateway,), what="one is missing")
        finally:
            place.go_on()
        watch.counted(trio.one.name, 40)
        until(lambda: watch.look().missing == (), what="both are there")
        assert watch.lost() == set()

    def test_a_gateway_that_is_killed_and_starts_again(self, place, trio, watch):
        place.apply(trio.routes(one=100))
        split(place.port, 40, connections=20)
        watch.counted(trio.one.name, 40, timed=40)
        place.kill()
        until(lambda: watch.look().missing == (place.one_gateway,), what="one is missing")
        split(place.port, 10)
        watch.counted(trio.one.name, 50, timed=50)
        assert watch.lost() == set()
        place.start()
        split(place.port, 40, connections=20)
        watch.counted(trio.one.name, 90, timed=90)
        assert watch.lost() == {place.one_gateway}
        assert watch.look().lost == ()

    def test_what_a_killed_gateway_had_counted_is_gone_and_told(self, place, trio, watch):
        place.apply(trio.routes(one=100))
        split(place.port, 200, connections=40)
        place.kill()
        place.start()
        until(lambda: watch.look().lost == (place.one_gateway,), what="what it had is lost")
        assert watch.variants[trio.one.name].requests < 200


def get(port: int, path: str) -> None:
    """One question that is no prediction."""
    with socket.create_connection((HOST, port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        while client.recv(65536):
            pass
