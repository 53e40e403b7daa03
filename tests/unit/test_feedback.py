"""Settings of feedback, what a plan tells of a store, and answers on their way to it."""

import threading

import pytest
from pydantic import ValidationError

from openautoglm.config.feedback import Feedback, shown
from openautoglm.config.service import Service
from openautoglm.config.yaml import load
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.plan import plan
from openautoglm.deploy.release import Release
from openautoglm.errors import ConfigError, StoreError
from openautoglm.feedback.answers import Source
from openautoglm.feedback.recorder import Recorder
from tests.support.wait import until

STORE = "postgresql://ada:lovelace@db.example:5432/feedback?password=lovelace"
SOURCE = Source("small", "1", f"sha256-{'0' * 64}", "glm", "fp32", ("a", "b"))


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://localhost/feedback", STORE, "postgres://ada@[::1]/feedback"),
        *("postgresql:///feedback?host=/run/postgresql", "sqlite:////srv/feedback.db"),
    ],
)
def test_a_store_is_a_database_or_an_absolute_path(url):
    assert Feedback(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite:///feedback.db", "sqlite://", "sqlite:////", "mysql://ada:lovelace@db/x", ""),
        *("feedback.db", "postgresql://ada:lovelace@db", "postgresql://ada:lovelace@[db/x"),
    ],
)
def test_what_is_none_is_refused_and_no_password_is_told(tmp_path, url):
    file = tmp_path / "config.yaml"
    file.write_text(f"model: small\nfeedback:\n  url: '{url}'\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load(file, Service)
    assert "config.yaml:3, key feedback.url" in str(error.value)
    assert "postgresql://USER@HOST/DATABASE" in str(error.value)
    assert "lovelace" not in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        *({"enabled": False, "answers": 5000}, {"enabled": False, "url": STORE}),
        *({"requests": {"sample": 0.0, "rows": 500}}, {"requests": {"sample": 0, "texts": False}}),
        {"enabled": False, "requests": {"sample": 0.5}},
    ],
)
def test_keys_that_could_not_matter_are_refused(given):
    with pytest.raises(ValidationError, match="has no meaning with"):
        Feedback.model_validate(given)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (STORE, "postgresql://ada:***@db.example:5432/feedback?***"),
        ("postgresql://ada:love@lace@db/x", "postgresql://ada:***@db/x"),
        ("postgresql://ada@db/x", "postgresql://ada@db/x"),
        ("sqlite:////srv/feedback.db", "sqlite:////srv/feedback.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url, told):
    assert shown(url) == told


def planned(before, after):
    release = Release(
        name="small", version="1", digest="sha256-1", family="glm", variant="fp32", origin="x"
    )
    record = Record(
        kind="deploy", by="test", releases={"champion": release}, weights={"champion": 100}
    )
    old, new = (
        Desired(
            generation=1,
            name="small",
            service=Service.model_validate({"model": "small", "feedback": {"url": url}}),
        )
        for url in (before, after)
    )
    return str(plan(old, record, new, release, live_replicas=None, cores=64))


def test_a_plan_shows_a_store_without_its_password():
    found = planned(None, STORE)
    assert "feedback.url  null -> postgresql://ada:***@db.example:5432/feedback?***" in found
    assert "rolling, no request fails" in found


def test_a_password_that_changes_changes_the_plan_and_is_not_shown():
    found = planned(STORE, STORE.replace("lovelace", "babbage"))
    assert "feedback.url" in found
    assert "its hidden part" in found
    assert "babbage" not in found


class Stalled:
    """A store that takes nothing until it is let."""

    def __init__(self):
        self.open = threading.Event()
        self.kept = []
        self.bounds = set()

    def record(self, source, given):
        if not self.open.is_set():
            raise StoreError("full")
        self.kept.extend(given)

    def retain(self, service, since, *, given, asked):
        self.bounds.add((service, asked))
        return False

    def close(self):
        pass


@pytest.fixture
def stalled():
    store = Stalled()
    recorder = Recorder(store, SOURCE, Feedback())
    recorder.start()
    yield store, recorder
    recorder.stop()


def test_answers_wait_in_order_while_the_store_takes_nothing(stalled):
    store, recorder = stalled
    for place in range(100):
        recorder.put(f"{place}", ["x"], ["a"], [[0.75, 0.25]])
    until(lambda: recorder.failing)
    assert recorder.waiting >= 100
    store.open.set()
    until(lambda: recorder.waiting == 0)
    assert [one.request_id for one in store.kept] == [f"{place}" for place in range(100)]
    assert not recorder.failing
    assert recorder.dropped == 0


def test_what_waits_has_a_bound_and_what_is_beyond_it_is_counted(stalled):
    _, recorder = stalled
    for place in range(1000):
        recorder.put(f"{place}", ["x"] * 100, ["a"] * 100, [[0.75, 0.25]] * 100)
    assert recorder.waiting <= 20_000
    assert recorder.dropped >= 80_000


def test_the_same_requests_are_sampled_by_every_replica():
    kept = []
    for _ in range(2):
        store = Stalled()
        store.open.set()
        settings = Feedback.model_validate({"requests": {"sample": 0.3}})
        recorder = Recorder(store, SOURCE, settings)
        recorder.start()
        for place in range(1000):
            recorder.put(f"{place}", ["x"], ["a"], [[0.75, 0.25]])
        recorder.stop()
        kept.append([one.request_id for one in store.kept if one.inputs])
    assert kept[0] == kept[1]
    assert 200 < len(kept[0]) < 400


def through(settings, *puts, numbers=False):
    """What a store has when a replica with these settings has ended, and its bounds."""
    store = Stalled()
    store.open.set()
    recorder = Recorder(store, SOURCE, Feedback.model_validate(settings), numbers=numbers)
    recorder.start()
    for name, rows in puts:
        recorder.put(name, rows, ["a"] * len(rows), [[0.75, 0.25]] * len(rows))
    until(lambda: recorder.waiting == 0)
    recorder.stop()
    return store.kept, store.bounds


@pytest.mark.parametrize("requests", [{"sample": 1.0, "texts": False}, {"sample": 0.0}])
def test_a_service_that_keeps_no_requests_removes_those_it_has_as_soon_as_it_starts(requests):
    store = Stalled()
    store.open.set()
    recorder = Recorder(store, SOURCE, Feedback.model_validate({"requests": requests}))
    recorder.start()
    until(lambda: store.bounds)
    recorder.put("a", ["secret"], ["a"], [[0.75, 0.25]])
    recorder.stop()
    assert store.bounds == {("small", 0)}
    assert [one.inputs for one in store.kept] == [None]


def test_a_model_of_numbers_keeps_them_without_texts():
    settings = {"requests": {"sample": 1.0, "texts": False}}
    kept, bounds = through(settings, ("a", [[1.5, 2.0]]), numbers=True)
    assert [one.inputs for one in kept] == [[[1.5, 2.0]]]
    assert ("small", 0) not in bounds


def test_requests_of_one_name_are_told_apart_by_what_was_asked():
    asked = (["车"], ["车"], ["书"], ["车", "书"], [[1.0, float("nan")]], [[1.0, 2.0]])
    kept, _ = through({}, *(("a", rows) for rows in asked))
    found = [one.crc for one in kept]
    assert found[0] == found[1]
    assert len(set(found)) == len(asked) - 1
