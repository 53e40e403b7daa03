"""Labels through the gateway of a service: both releases, copies under shadow, moves and ends."""

from __future__ import annotations

from contextlib import closing

import httpx
import pytest

from openautoglm.deploy.ledger import last
from openautoglm.feedback.answers import source_key
from openautoglm.feedback.reading import asked, begin, news
from openautoglm.feedback.store import FeedbackStore
from tests.support.envoy import counters
from tests.support.site import site
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("feedback")]
REQUESTS = 40


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Version 1 is the champion; version 2 gets copies of every request."""
    with site(tmp_path_factory.mktemp("feedback") / "project", 0, 1) as found:
        found.deploy(replicas=2, feedback={"requests": {"sample": 1.0}})
        found.run("weights", "small", "champion=100", "challenger=0", "--shadow", "100")
        yield found


@pytest.fixture
def http(small):
    with httpx.Client(base_url=small.url, trust_env=False, timeout=PATIENCE) as found:
        yield found


@pytest.fixture
def store(small):
    with closing(FeedbackStore(f"sqlite:///{small.folder.feedback}")) as found:
        yield found


def keys(small):
    """Names of both releases in the store."""
    releases = last(small.folder.ledger).releases
    return {
        role: source_key(one.name, one.version, one.digest, one.family, one.variant)
        for role, one in releases.items()
    }


def predicted(http):
    return http.post("/v1/predict", json={"text": "车"}).raise_for_status().json()["request_id"]


def labelled(http, name, label="文学"):
    return http.post("/v1/feedback", json={"request_id": name, "label": label})


def counted(small, cluster):
    """Requests that the gateways sent to a cluster."""
    name = f"cluster.{cluster}.upstream_rq_total"
    return sum(
        int(counters(socket, f"^{name}$").get(name, 0))
        for socket in small.folder.sockets.glob("gateway-*.sock")
    )


def test_a_copied_request_has_one_label_and_two_answers(small, http, store):
    start = begin(store.database)
    champion = last(small.folder.ledger).releases["champion"].key
    challenger = last(small.folder.ledger).releases["challenger"].key
    before = counted(small, champion)
    for _ in range(REQUESTS):
        assert labelled(http, predicted(http)).json()["first"]

    def pairs():
        found = news(store.database, start, **keys(small))
        return found if len(found.wrong) == REQUESTS else None

    found = until(pairs, what="every request has both answers and its label")
    assert found.champion.wrong == found.challenger.wrong == (True,) * REQUESTS
    assert found.agree == (True,) * REQUESTS
    assert found.champion.classes == found.challenger.classes
    assert sum(found.challenger.classes.values()) == REQUESTS
    assert counted(small, champion) - before == REQUESTS
    assert counted(small, f"{champion}_feedback") >= REQUESTS
    assert counted(small, f"{challenger}_feedback") == 0


def test_every_replica_takes_the_label_of_every_answer(http):
    name = predicted(http)
    assert labelled(http, name).json()["first"]
    for _ in range(10):
        found = labelled(http, name, "医学")
        assert found.status_code == 200
        assert (found.json()["label"], found.json()["first"]) == ("文学", False)


def test_an_unknown_id_and_a_wrong_label_are_told_through_the_gateway(http):
    assert labelled(http, "nobody").status_code == 404
    found = labelled(http, predicted(http), "数学")
    assert found.status_code == 400
    assert "铁路, 文学, 医学" in found.json()["error"]


def test_answers_outlive_a_deploy_of_other_settings(small, http, store):
    name = predicted(http)
    assert labelled(http, name).json()["first"]
    small.deploy(feedback={"requests": {"sample": 1.0}, "retention_days": 7})
    assert not labelled(http, name, "医学").json()["first"]
    assert next(asked(store.database, "small")).input == "车"


def test_switched_off_nothing_is_taken(small, http):
    said = small.deploy(feedback={"enabled": False})
    assert "feedback.enabled" in said
    found = labelled(http, predicted(http))
    assert found.status_code == 404
    assert "feedback.enabled: true" in found.json()["error"]
    assert "keeps no requests" in small.run("drift", "--service", "small", code=2)


def test_a_deleted_service_leaves_no_text_behind(small):
    small.run("delete", "small")
    assert [path.name for path in small.folder.root.iterdir()] == ["ledger.jsonl"]
