"""The router over real Envoys: two of them on one port."""

import signal

import pytest

from openautoglm.errors import RouterError
from openautoglm.routing.envoy import admin, force, router
from openautoglm.routing.routes import Endpoint, Routes
from tests.conformance.router import RouterConformance, split
from tests.support.backends import Backends, Traffic
from tests.support.envoy import gateways
from tests.support.wait import until

WATCHED = ("cds.json", "rds.json", "lds.json", "v.json", "v_grpc.json", "v_feedback.json")


class _Place:
    def __init__(self, running):
        self._running = running
        self.port = running.port

    def router(self):
        return self._running.another()

    def written(self):
        files = [path for path in self._running.folder.rglob("*.json") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_text()) for path in files}

    def texts(self):
        return {path: text for path, (_, text) in self.written().items()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with gateways(tmp_path_factory.mktemp("pair"), processes=2) as running:
        yield running


@pytest.fixture
def place(pair):
    yield _Place(pair)
    pair.apply()
    (pair.folder / "routes.json").unlink()


@pytest.fixture
def one():
    with Backends() as backends:
        yield backends.start("one")


class TestEnvoy(RouterConformance):
    """Envoy is a Router."""


def test_a_gateway_that_starts_later_has_the_routes(tmp_path, one):
    with gateways(tmp_path, processes=2) as running:
        running.kill(running.admins[0])
        running.apply(variants={"v": (one.endpoint,)}, weights={"v": 100})
        running.start(running.admins[0])
        running.kill(running.admins[1])
        assert running.ask().backend == "one"


def test_a_port_that_is_refused_is_told_in_envoys_words_and_the_old_one_stays(pair, place, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    pair.router.apply(routes)
    before = place.texts()
    with pytest.raises(RouterError, match=r"lds\.json: cannot bind '8\.8\.8\.8:"):
        pair.another(host="8.8.8.8").apply(routes)
    assert place.texts() == before
    assert pair.ask().backend == "one"
    pair.router.apply(routes)


def test_an_endpoint_that_is_refused_leaves_what_was_in_force(pair, place, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    pair.router.apply(routes)
    before = place.texts()
    with pytest.raises(RouterError, match=r"v\.json"):
        pair.router.apply(Routes({"v": (Endpoint("no-address", 1),)}, {"v": 100}))
    assert place.texts() == before
    assert pair.router.current() == routes
    assert split(pair.port, 50) == {"one": 50}


def test_a_new_variant_that_is_refused_leaves_what_was_in_force(pair, place, one):
    good = {"v": (one.endpoint,)}
    pair.router.apply(Routes(good, {"v": 100}))
    with pytest.raises(RouterError, match=r"w\.json"):
        pair.router.apply(Routes({**good, "w": (Endpoint("no-address", 1),)}, {"w": 100}))
    assert split(pair.port, 50) == {"one": 50}
    pair.router.apply(Routes({**good, "w": (one.endpoint,)}, {"w": 100}))
    assert split(pair.port, 50) == {"one": 50}


def test_apply_heals_what_a_crash_left_between_any_two_writes(pair, place, one, monkeypatch):
    names = ["w", "w_feedback", "w_grpc"]
    first = Routes({"v": (one.endpoint,)}, {"v": 100})
    then = Routes({"w": (one.endpoint,)}, {"w": 100})
    real, writes = force.write_text, 0

    def dies(after):
        left = [after]

        def write(path, text):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            real(path, text)

        return write

    while True:
        pair.router.apply(first)
        for module in (force, router):
            monkeypatch.setattr(module, "write_text", dies(writes))
        try:
            pair.another().apply(then)
        except KeyboardInterrupt:
            monkeypatch.undo()
            assert pair.ask().backend == "one"
            pair.another().apply(then)
            assert pair.ask().backend == "one"
            assert sorted(path.stem for path in (pair.folder / "eds").iterdir()) == names
            writes += 1
        else:
            break
    assert writes > 4


def test_a_file_that_is_no_json_is_written_anew(pair, place, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    pair.router.apply(routes)
    whole = place.texts()
    for name in ("cds.json", "rds.json", "lds.json", "eds/v.json", "routes.json"):
        (pair.folder / name).write_bytes(b"half \xff of")
    pair.router.apply(routes)
    assert place.texts() == whole
    assert pair.ask().backend == "one"


def test_files_that_were_removed_are_written_anew_with_no_failed_request(pair, place, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    pair.router.apply(routes)
    whole = place.texts()
    with Traffic(pair.port) as traffic:
        watched = [path for path in whole if path.name in WATCHED]
        for gone in [*([path] for path in watched), watched]:
            for path in gone:
                path.unlink()
            pair.router.prepare()
            pair.router.apply(routes)
    assert place.texts() == whole
    assert traffic.failed == []


def test_a_folder_that_was_moved_is_prepared_for_its_new_place(tmp_path, one):
    here, there = tmp_path / "here", tmp_path / "dort 那里"
    here.mkdir()
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    with gateways(here) as running:
        running.router.apply(routes)
    here.rename(there)
    with gateways(there) as running:
        assert running.router.current() == routes
        running.router.apply(routes)
        assert running.ask().backend == "one"


def test_settings_change_while_it_runs(tmp_path, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    with gateways(tmp_path, processes=2) as running:
        running.router.apply(routes)
        limits = running.settings.limits.model_copy(update={"requests_per_second": 2})
        running.another(limits=limits).apply(routes)
        until(lambda: running.ask().status == 429)
        running.router.apply(routes)
        assert {running.ask().status for _ in range(20)} == {200}


def test_settings_change_under_load_with_no_failed_request(tmp_path, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    with gateways(tmp_path, processes=2) as running:
        running.router.apply(routes)
        limits = running.settings.limits.model_copy(update={"header_bytes": 8192})
        with Traffic(running.port) as traffic:
            for changes in ({"limits": limits}, {"balancing": "round_robin"}, {"timeout_ms": 7000}):
                running.another(**changes).apply(routes)
                seen = traffic.total
                until(lambda n=seen: traffic.total > n + 50)
    assert traffic.failed == []


def test_a_gateway_that_does_not_answer_is_named(tmp_path, one):
    routes = Routes({"v": (one.endpoint,)}, {"v": 100})
    with gateways(tmp_path, processes=2) as running:
        hung = running.process(running.admins[0])
        hung.send_signal(signal.SIGSTOP)
        with pytest.raises(RouterError, match="did not take") as caught:
            running.another(seconds=1).apply(routes)
        assert caught.value.where == str(running.admins[0])
        hung.send_signal(signal.SIGCONT)
        running.router.apply(routes)
        assert {running.ask().backend for _ in range(10)} == {"one"}


def test_a_gateway_that_is_dead_is_neither_ready_nor_waited_for(tmp_path, one):
    with gateways(tmp_path) as running:
        running.kill(running.admins[0])
        assert not admin.ready(running.admins[0])
        running.apply(variants={"v": (one.endpoint,)}, weights={"v": 100})
