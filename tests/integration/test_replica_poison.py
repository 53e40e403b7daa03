"""A model that fails on a text: that request gets a 500, its neighbours their answers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.replica import client, stub

pytestmark = pytest.mark.xdist_group("replica")
POISON = "poison: a secret of a customer"


@pytest.fixture
def replica(tmp_path):
    with stub(tmp_path / "log", 0.05) as found:
        yield found


def test_a_poison_text_fails_alone_and_is_not_in_the_log(replica):
    texts = ["good"] * 5 + [POISON] + ["fine"] * 5
    with client(replica) as http, ThreadPoolExecutor(len(texts)) as threads:
        found = list(threads.map(lambda text: http.post("/v1/predict", json={"text": text}), texts))
    assert [one.status_code for one in found] == [500 if text == POISON else 200 for text in texts]
    (failed,) = [one.json() for one in found if one.status_code == 500]
    assert failed["kind"] == "failed"
    assert "secret" not in json.dumps(failed)
    with client(replica) as http:  # what it does after an answer is done before the next one
        assert http.get("/health/live").status_code == 200
    log = replica.log.read_text(encoding="utf-8")
    assert "secret" not in log
    (told,) = [line for line in map(json.loads, log.splitlines()) if line["level"] == "error"]
    assert told["request_id"] == failed["request_id"]
    assert "ValueError" in told["exception"]


def test_scores_that_are_no_numbers_are_a_failure(replica):
    with client(replica) as http:
        found = http.post("/v1/predict", json={"text": ["good", "nan"]})
        assert found.status_code == 500
        assert "row 1" in found.json()["error"]
        assert http.post("/v1/predict", json={"text": "good"}).status_code == 200
