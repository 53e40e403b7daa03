"""What every Router must pass; a subclass gives the fixture `place`."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import Protocol

import pytest

from openautoglm.errors import RouteError
from openautoglm.routing.router import Router
from openautoglm.routing.routes import Routes, Shadow
from tests.support.backends import HOST, Backend, Backends, Traffic, ask, exchange
from tests.support.wait import PATIENCE, until


class Place(Protocol):
    """Where routers of one service work.

    Attributes:
        port: Where clients ask.
    """

    port: int

    def router(self) -> Router:
        """A router, as a new process would make it."""

    def written(self) -> object:
        """Something that differs after anything was written."""


class Trio:
    """Three backends, each the only replica of its variant."""

    def __init__(self, backends: Backends) -> None:
        self.one, self.two, self.three = (backends.start(name) for name in ("one", "two", "three"))

    def routes(self, shadow: Shadow | None = None, **weights: int) -> Routes:
        """Weights of those that exist."""
        return Routes(variants(*(getattr(self, name) for name in weights)), weights, shadow)


def variants(*backends: Backend) -> dict[str, tuple[object, ...]]:
    return {backend.name: (backend.endpoint,) for backend in backends}


def split(port: int, requests: int, connections: int = 8) -> Counter[str]:
    """How many requests each backend answered, over connections that take turns.

    So many that each of several gateways on one port most likely has some.
    """
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        kept = [
            stack.enter_context(closing(HTTPConnection(HOST, port, timeout=PATIENCE)))
            for _ in range(connections)
        ]
        for _, connection in zip(range(requests), itertools.cycle(kept), strict=False):
            answer = exchange(connection)
            found[answer.backend if answer.status == 200 else str(answer.status)] += 1
    return found


class RouterConformance:
    """Tests of the promises in `Router`."""

    @pytest.fixture
    def trio(self) -> Iterator[Trio]:
        with Backends() as backends:
            yield Trio(backends)

    @pytest.fixture
    def router(self, place: Place) -> Router:
        return place.router()

    def test_0_and_100_are_exact(self, place, router, trio):
        for name, other in (("one", "two"), ("two", "one"), ("one", "two")):
            router.apply(trio.routes(**{name: 100, other: 0}))
            assert split(place.port, 300) == {name: 300}

    @pytest.mark.parametrize("weight", [1, 30, 95])
    def test_other_weights_hold_within_their_binomial_interval(self, place, router, trio, weight):
        router.apply(trio.routes(one=weight, two=100 - weight))
        requests, share = 2000, weight / 100
        found = split(place.port, requests)
        assert set(found) <= {"one", "two"}
        five_sigma = 5 * math.sqrt(requests * share * (1 - share))
        assert abs(found["one"] - requests * share) <= five_sigma

    def test_three_variants_share(self, place, router, trio):
        router.apply(trio.routes(one=40, two=40, three=20))
        assert set(split(place.port, 500)) == {"one", "two", "three"}

    def test_what_cannot_be_is_refused_and_what_was_in_force_stays(self, place, router, trio):
        router.apply(trio.routes(one=100))
        before = place.written()
        good = variants(trio.one, trio.two)
        for bad in (
            Routes(good, {"one": 50, "two": 49}),
            Routes(good, {"one": 101, "two": -1}),
            Routes(good, {"one": 50, "other": 50}),
            Routes({**good, "empty": ()}, {"empty": 100}),
            Routes({**good, "a.b": ()}, {"one": 100}),
            Routes(good, {"one": 100}, Shadow("other", 10)),
            Routes(good, {"one": 100}, Shadow("two", 0)),
        ):
            with pytest.raises(RouteError):
                router.apply(bad)
        assert place.written() == before
        assert router.current() == trio.routes(one=100)
        assert split(place.port, 50) == {"one": 50}

    def test_a_variant_comes_and_goes_with_no_failed_request(self, place, router, trio):
        router.apply(trio.routes(one=100))
        with Traffic(place.port) as traffic:
            for _ in range(5):
                router.apply(trio.routes(one=50, two=50))
                until(lambda: traffic.answers[200, "two"], what="the new variant answers")
                router.apply(trio.routes(two=100))
                router.apply(trio.routes(two=50, one=50))
                router.apply(trio.routes(one=100))
        assert traffic.failed == []
        assert traffic.total > 100

    def test_a_variant_that_is_gone_gets_no_new_request(self, place, router, trio):
        router.apply(trio.routes(one=50, two=50))
        with Traffic(place.port) as traffic:
            until(lambda: traffic.answers[200, "two"] > 20, what="both answer")
            router.apply(trio.routes(one=100))
            # Nothing that a client sent from here on; a request already sent to it may be late.
            assert split(place.port, 200) == {"one": 200}
        assert traffic.failed == []

    def test_a_request_under_way_at_a_variant_that_goes_is_answered(self, place, router, trio):
        trio.two.capacity = 2
        router.apply(trio.routes(two=100))
        with ThreadPoolExecutor(2) as pool:
            under_way = [pool.submit(ask, place.port) for _ in range(2)]
            until(lambda: len(trio.two.seen) == 2, what="both requests are there")
            router.apply(trio.routes(one=100))
            assert [one.result().backend for one in under_way] == ["two", "two"]

    def test_an_endpoint_that_is_gone_gets_no_new_request(self, place, router, trio):
        both = {"v": (trio.one.endpoint, trio.two.endpoint)}
        router.apply(Routes(both, {"v": 100}))
        assert set(split(place.port, 50)) == {"one", "two"}
        router.apply(Routes({"v": (trio.two.endpoint,)}, {"v": 100}))
        assert split(place.port, 200) == {"two": 200}

    def test_replicas_are_exchanged_with_no_failed_request(self, place, router, trio):
        router.apply(Routes({"v": (trio.one.endpoint,)}, {"v": 100}))
        with Traffic(place.port) as traffic:
            for backend in (trio.two, trio.three, trio.one, trio.two):
                router.apply(Routes({"v": (backend.endpoint,)}, {"v": 100}))
                seen = traffic.answers[200, backend.name]
                until(lambda b=backend, n=seen: traffic.answers[200, b.name] > n + 10)
        assert traffic.failed == []

    def test_a_variant_that_loses_traffic_and_replicas_at_once_fails_no_request(
        self, place, router, trio
    ):
        with_two = Routes(variants(trio.one, trio.two), {"one": 50, "two": 50})
        without = Routes({**variants(trio.one), "two": ()}, {"one": 100, "two": 0})
        router.apply(with_two)
        with Traffic(place.port) as traffic:
            for _ in range(5):
                router.apply(without)
                router.apply(with_two)
        assert traffic.failed == []

    def test_the_same_routes_again_write_nothing(self, place, router, trio):
        routes = trio.routes(one=40, two=60, shadow=Shadow("one", 10))
        router.apply(routes)
        before = place.written()
        router.apply(routes)
        place.router().apply(routes)
        assert place.written() == before

    def test_another_router_sees_what_was_applied(self, place, router, trio):
        assert place.router().current() is None
        routes = trio.routes(one=40, two=60, three=0, shadow=Shadow("three", 10))
        router.apply(routes)
        assert place.router().current() == routes

    def test_a_shadow_gets_copies_and_nobody_sees_its_answers(self, place, router, trio):
        trio.three.status = 500
        router.apply(trio.routes(one=100, three=0, shadow=Shadow("three", 100)))
        assert split(place.port, 100) == {"one": 100}
        until(lambda: len(trio.three.seen) == 100, what="every request was copied")

    def test_a_shadow_that_hangs_delays_nobody(self, place, router, trio):
        trio.three.status = None
        router.apply(trio.routes(one=100, three=0, shadow=Shadow("three", 100)))
        assert split(place.port, 100) == {"one": 100}

    def test_a_shadow_gets_its_percentage(self, place, router, trio):
        router.apply(trio.routes(one=100, three=0, shadow=Shadow("three", 30)))
        split(place.port, 1000)
        router.apply(trio.routes(one=100, three=0))
        five_sigma = 5 * math.sqrt(1000 * 0.3 * 0.7)
        # Nobody waits for the last copies.
        until(lambda: len(trio.three.seen) >= 300 - five_sigma, what="its share of copies")
        assert len(trio.three.seen) <= 300 + five_sigma

    def test_without_weights_the_answer_is_503(self, place, router, trio):
        router.apply(Routes())
        assert ask(place.port).status == 503
        router.apply(trio.routes(one=100))
        assert ask(place.port).status == 200
        router.apply(Routes(variants(trio.one)))
        assert ask(place.port).status == 503
