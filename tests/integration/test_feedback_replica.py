"""Labels as a client sends them to a replica, and what becomes of them when something breaks."""

import os
import random
import signal
from contextlib import closing

import pytest

from openautoglm.feedback.reading import Asked, asked
from openautoglm.feedback.store import FeedbackStore
from tests.support.disk import small_disk
from tests.support.feedback import Labelling, label, predicted, settings
from tests.support.replica import client, stub
from tests.support.wait import until
from tests.support.wire import gauge

pytestmark = pytest.mark.xdist_group("replica")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="module")
def replica(folder):
    kept = settings(folder, requests={"sample": 1.0})
    with stub(folder / "log", 0.0, feedback=kept) as found:
        yield found


@pytest.fixture
def http(replica):
    with client(replica) as found:
        yield found


def test_the_label_of_an_answer_given_just_now(http):
    name = predicted(http)
    found = label(http, name, "long")
    assert found.status_code == 200
    assert found.json() == {"request_id": name, "label": "long", "first": True}


def test_a_second_label_is_told_which_one_stands(http):
    name = predicted(http)
    label(http, name, "long")
    found = [label(http, name, given) for given in ("long", "short")]
    assert [one.status_code for one in found] == [200, 200]
    assert [one.json()["label"] for one in found] == ["long", "long"]
    assert not any(one.json()["first"] for one in found)


def test_an_answer_of_several_texts_takes_a_list(http):
    name = predicted(http, ["a", "b"])
    assert label(http, name, "long").status_code == 400
    assert label(http, name, ["long", "short"]).json()["label"] == ["long", "short"]


def test_the_clients_own_request_id_counts(http):
    http.post("/v1/predict", json={"text": "a"}, headers={"x-request-id": "order-17"})
    assert label(http, "order-17", "short").json()["first"]


def test_the_other_protocols_answers_take_labels_too(http):
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    found = http.post("/v2/models/stub/infer", json={"inputs": [tensor]})
    assert label(http, found.headers["x-request-id"], "short").json()["first"]


def test_an_id_that_nobody_knows_is_told_so_in_words(http):
    found = label(http, "nobody", "long")
    assert found.status_code == 404
    assert found.json()["kind"] == "not_found"
    assert "no answer with this id is known" in found.json()["error"]


def test_a_label_that_is_no_class_is_told_the_classes(http):
    found = label(http, predicted(http), "medium")
    assert found.status_code == 400
    assert "long, short" in found.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], {"request_id": "a"}, {"request_id": "a", "label": "long", "more": 1}),
        *({"request_id": 1, "label": "long"}, {"request_id": "", "label": "long"}),
        *({"request_id": "a", "label": None}, {"request_id": "a", "label": []}),
        *({"request_id": "a" * 129, "label": "a"}, {"request_id": "a", "label": ["a", 1]}),
    ],
)
def test_what_is_no_label_is_refused_with_what_would_be_one(http, body):
    found = http.post("/v1/feedback", json=body)
    assert found.status_code == 400
    assert "allowed" in found.json()["error"]


def test_the_sampled_texts_come_with_their_labels(http, folder):
    name = predicted(http, ["一", "二"])
    label(http, name, ["long", "short"])
    with closing(FeedbackStore(f"sqlite:///{folder}/feedback.db")) as store:
        assert list(asked(store.database, "stub"))[-2:] == [
            Asked("一", "long"),
            Asked("二", "short"),
        ]


def test_without_texts_none_is_kept_and_labels_are_taken(tmp_path):
    kept = settings(tmp_path, requests={"sample": 1.0, "texts": False})
    with stub(tmp_path / "log", 0.0, feedback=kept) as replica, client(replica) as http:
        assert label(http, predicted(http, "secret"), "long").json()["first"]
        assert replica.stop() == 0
    assert not any(b"secret" in one.read_bytes() for one in tmp_path.glob("feedback.db*"))


def test_texts_that_were_kept_go_when_they_are_not_wanted_any_more(tmp_path):
    def somewhere():
        return any(b"secret" in one.read_bytes() for one in tmp_path.glob("feedback.db*"))

    for texts in (True, False):
        kept = settings(tmp_path, requests={"sample": 1.0, "texts": texts})
        with stub(tmp_path / "log", 0.0, feedback=kept) as replica, client(replica) as http:
            if texts:
                name = predicted(http, "secret")
                until(somewhere)
            else:
                until(lambda: not somewhere())
                assert label(http, name, "long").json()["first"]
            assert replica.stop() == 0
    assert not somewhere()


def test_what_waits_is_written_before_a_replica_ends(tmp_path):
    kept = settings(tmp_path)
    with stub(tmp_path / "log", 0.0, feedback=kept) as replica, client(replica) as http:
        names = [predicted(http) for _ in range(20)]
        assert replica.stop() == 0
    with closing(FeedbackStore(f"sqlite:///{tmp_path}/feedback.db")) as store:
        assert all(store.label("stub", name, ["long"]).first for name in names)


def test_switched_off_it_says_how_to_switch_it_on(tmp_path):
    with stub(tmp_path / "log", 0.0) as replica, client(replica) as http:
        found = label(http, "a", "long")
        assert found.status_code == 404
        assert "feedback.enabled: true" in found.json()["error"]
        assert "/v1/feedback" not in http.get("/openapi.json").json()["paths"]


def killed(folder, seed):
    """Kill a replica while labels come, and start another: what was acknowledged stands."""
    chance, known = random.Random(seed), settings(folder)
    with stub(folder / "log", 0.0, feedback=known) as replica, Labelling(replica) as labels:
        enough = chance.randint(1, 15)
        until(lambda: len(labels.acknowledged) >= enough)
        os.kill(replica.process.pid, signal.SIGKILL)
    with closing(FeedbackStore(f"sqlite:///{folder}/feedback.db")) as store:
        for name, given in labels.acknowledged.items():
            other = "short" if given == "long" else "long"
            assert store.label("stub", name, [other]).labels == (given,)
    return len(labels.acknowledged)


def test_killed_in_the_middle_no_acknowledged_label_is_lost(tmp_path):
    for seed in range(3):
        assert killed(tmp_path, seed) > 0


@pytest.mark.sweep
def test_killed_a_hundred_times_no_acknowledged_label_is_lost(tmp_path, record_property):
    kept = sum(killed(tmp_path, seed) for seed in range(100))
    record_property("cases", 100)
    record_property("labels", kept)


def test_on_a_full_disk_predictions_go_on_and_labels_are_refused(tmp_path):
    place = tmp_path / "disk"
    with small_disk(place, "400k"):
        kept = settings(place)
        with stub(tmp_path / "log", 0.0, feedback=kept) as replica, client(replica) as http:
            first = predicted(http)
            assert label(http, first, "long").status_code == 200
            filler = place / "filler"
            with pytest.raises(OSError, match="No space"), filler.open("wb", 0) as stream:  # noqa: PT012
                while True:
                    stream.write(b"0" * 1024)
            refused = until(lambda: refusal(http))
            assert refused.headers["retry-after"] == "2"
            assert refused.json()["kind"] == "store"
            assert http.get("/health/ready").status_code == 200
            filler.unlink()
            name = predicted(http)
            until(lambda: label(http, name, "short").status_code == 200)
            assert label(http, first, "short").json()["label"] == "long"


def refusal(http):
    """A label that the store had no room for; predictions before and after it are answered."""
    found = label(http, predicted(http), "long")
    return found if found.status_code == 503 else None


def test_with_a_store_that_never_answers_predictions_go_on(tmp_path):
    kept = settings(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    with stub(tmp_path / "log", 0.0, feedback=kept) as replica, client(replica) as http:
        name = predicted(http)
        found = label(http, name, "long")
        assert found.status_code == 503
        assert found.headers["retry-after"] == "2"
        assert [http.post("/v1/predict", json={"text": "a"}).status_code for _ in range(50)] == [
            200
        ] * 50


def test_answers_that_find_no_room_are_counted(tmp_path):
    kept = settings(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    with stub(tmp_path / "log", 0.0, feedback=kept) as replica, client(replica) as http:
        for _ in range(100):
            predicted(http, ["a"] * 256)
        assert gauge(replica, "feedback_dropped_total") == 256 * (100 - 20_000 // 256)
