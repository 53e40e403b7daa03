"""Telemetry from real Envoys: two of them on one port."""

import signal

import pytest

from openautoglm.config.gateway import Breakers
from openautoglm.routing.envoy import admin
from openautoglm.routing.envoy.telemetry import EnvoyTelemetry
from tests.conformance.router import split
from tests.conformance.telemetry import TelemetryConformance, Trio, Watch, plain
from tests.support.backends import Backends, ask
from tests.support.envoy import counter, counters, gateways
from tests.support.wait import until


class _Place:
    def __init__(self, running):
        self._running = running
        self.port = running.port
        self.one_gateway = running.admins[0].stem
        self.swapped = False

    def telemetry(self):
        # Long for a busy machine: a gateway that is late at the first look has lost counts.
        return EnvoyTelemetry(lambda: self._running.admins, seconds=5)

    def apply(self, routes, *, timeout_ms=60_000):
        self.swapped |= timeout_ms != 60_000
        self._running.another(timeout_ms=timeout_ms).apply(routes)

    def kill(self):
        self._running.kill(self._running.admins[0])

    def start(self):
        self._running.start(self._running.admins[0])

    def pause(self):
        self._signal(signal.SIGSTOP)

    def go_on(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        self._running.process(self._running.admins[0]).send_signal(number)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    with gateways(folder, processes=2, timeout_ms=60_000) as running:
        yield running


@pytest.fixture
def place(pair):
    found = _Place(pair)
    yield found
    pair.apply()
    (pair.folder / "routes.json").unlink()
    # What was counted of copies is gone with their variant, as soon as the last of them has ended;
    # that is a loss to whoever saw it at a first look.
    gone = r"^cluster\.(one|two|three)-[0-9]+\."
    until(lambda: not any(counters(one, gone) for one in pair.admins), what="all is forgotten")
    if found.swapped:  # so is what the port with other settings has counted, when it has drained
        counts = r"^served\."
        until(lambda: not any(counters(one, counts) for one in pair.admins), what="it is drained")


@pytest.fixture
def trio():
    with Backends() as backends:
        yield Trio(backends)


@pytest.fixture
def routes(trio):
    return trio.routes(one=100)


class TestEnvoy(TelemetryConformance):
    """Envoy's statistics are a Telemetry."""


@pytest.mark.parametrize("changes", ["cluster", "listener"])
def test_a_change_of_settings_loses_nothing(pair, place, trio, routes, changes):
    place.apply(routes)
    watch = Watch(place.telemetry())
    settings = {
        "cluster": {"breakers": Breakers(requests=77)},
        "listener": {"limits": pair.settings.limits.model_copy(update={"header_bytes": 8192})},
    }
    split(pair.port, 20)
    pair.another(**settings[changes]).apply(routes)
    split(pair.port, 20)
    pair.router.apply(routes)
    name = "listener_manager.total_listeners_draining"
    until(lambda: not any(counter(one, name) for one in pair.admins))
    split(pair.port, 20)
    assert plain(watch.counted(trio.one.name, 60, timed=60)) == {"requests": 60}
    assert watch.lost() == set()


def test_counters_that_somebody_resets_are_told(pair, place, trio, routes):
    place.apply(routes)
    watch = Watch(place.telemetry())
    split(pair.port, 40, connections=20)
    watch.counted(trio.one.name, 40)
    admin.ask(pair.admins[0], "/reset_counters", method="POST")
    until(lambda: watch.look().lost == (place.one_gateway,))
    assert watch.variants[trio.one.name].requests == 40


def test_what_the_port_refuses_is_no_variants(tmp_path, trio, routes):
    limits = {"requests_per_second": 2}
    with gateways(tmp_path, limits=limits) as running:
        running.router.apply(routes)
        watch = Watch(EnvoyTelemetry(lambda: running.admins, seconds=5))
        answers = []

        def refused():
            answers.append(ask(running.port).status)
            return 429 in answers

        until(refused, what="one more than it takes")
        assert plain(watch.counted(trio.one.name, answers.count(200))) == {
            "requests": answers.count(200)
        }


def test_a_gateway_that_is_taken_away_ends_the_segment(pair, place, trio, routes):
    place.apply(routes)
    admins = list(pair.admins)
    watch = Watch(EnvoyTelemetry(lambda: admins, seconds=5))
    del admins[0]
    until(lambda: watch.look().lost == (place.one_gateway,))
    assert watch.look().lost == ()
    admins.insert(0, pair.admins[0])
