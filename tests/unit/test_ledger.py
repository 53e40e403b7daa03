"""The ledger's records and its file; what any ledger must keep is in tests/conformance."""

import zlib

import pytest
from pydantic import ValidationError

from openautoglm.deploy.ledger import Record, append, last, named_digests, read
from openautoglm.deploy.release import Release
from openautoglm.errors import ArtifactError


def release(version="1"):
    return Release(
        name="clc",
        version=version,
        digest=f"sha256-{version}",
        family="glm",
        variant="int8",
        origin="models:/铁路/1",
    )


def deployed(version="1", note=""):
    return Record(
        kind="deploy",
        by="test",
        releases={"champion": release(version)},
        weights={"champion": 100},
        note=note,
    )


# As version 0 of this file's records had it, before there were rollouts.
OLD = (
    b'{"time":"2026-11-20T10:00:00.000+00:00","kind":"weights","by":"me: openautoglm weights",'
    b'"releases":{"champion":{"name":"clc","version":"1","digest":"sha256-1","family":"glm",'
    b'"variant":"int8","origin":"models:/clc/1"},"challenger":{"name":"clc","version":"2",'
    b'"digest":"sha256-2","family":"glm","variant":"int8","origin":"models:/clc/2"}},'
    b'"weights":{"champion":95,"challenger":5},"shadow":0,"owner":"","note":""}'
)
DELETED = Record(kind="delete", by="test")


def test_no_ledger_has_no_decision(tmp_path):
    assert read(tmp_path / "ledger.jsonl") == []
    assert last(tmp_path / "ledger.jsonl") is None


def test_after_a_delete_nothing_is_in_force(tmp_path):
    for one in (deployed(), DELETED):
        append(tmp_path / "ledger.jsonl", one)
    assert last(tmp_path / "ledger.jsonl") is None
    assert len(read(tmp_path / "ledger.jsonl")) == 2


def test_what_was_written_before_there_were_rollouts_is_read(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"crc":"%08x","record":%b}\n' % (zlib.crc32(OLD), OLD))
    found = last(path)
    assert found.weights == {"champion": 95, "challenger": 5}
    assert found.rollout is None


def test_a_cut_end_longer_than_a_page_is_healed(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append(path, deployed("1"))
    with path.open("ab") as stream:
        stream.write(b"x" * 10_000)
    append(path, deployed("2"))
    assert len(read(path)) == 2


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for number in range(3):
        append(path, deployed(str(number)))
    path.write_bytes(path.read_bytes().replace(b'"version":"1"', b'"version":"7"'))
    with pytest.raises(ArtifactError, match="damaged") as caught:
        read(path)
    assert caught.value.where == f"{path}:2"


def test_a_ledger_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        last(tmp_path / "ledger.jsonl")


CHAMPION = {"champion": release()}
OPEN = {"id": 1, "state": "pending", "reason": "", "settings_digest": ""}
BOTH = CHAMPION | {"challenger": release("2")}


@pytest.mark.parametrize(
    "wrong",
    [
        {"releases": CHAMPION, "weights": {"champion": 99}},
        {"releases": CHAMPION, "weights": {"champion": 95, "challenger": 5}},
        {"releases": BOTH, "weights": {"challenger": 100}},
        {"releases": BOTH, "weights": {"champion": 101, "challenger": -1}},
        {"releases": BOTH, "weights": {"champion": 99.0, "challenger": 1.0}},
        {"releases": CHAMPION, "weights": {"champion": 100}, "shadow": 10},
        {"releases": BOTH, "weights": {"champion": 100}, "shadow": 101},
        {"releases": CHAMPION | {"challenger": release()}, "weights": {"champion": 100}},
        {"releases": {}, "weights": {}},
        {"releases": CHAMPION, "weights": {"champion": 100}, "kind": "delete"},
        {"releases": CHAMPION, "weights": {"champion": 100}, "kind": "guess"},
        {"releases": CHAMPION, "weights": {"champion": 100}, "kind": "rollout"},
        {"releases": CHAMPION, "weights": {"champion": 100}, "kind": "rollout", "rollout": OPEN},
        {
            "releases": CHAMPION,
            "weights": {"champion": 100},
            "kind": "rollout",
            "owner": "rollout 1",
            "rollout": {**OPEN, "state": "promoted"},
        },
        {"releases": CHAMPION, "weights": {"champion": 100}, "kind": "request", "owner": "me"},
        {
            "releases": CHAMPION,
            "weights": {"champion": 100},
            "kind": "request",
            "request": {"id": 1, "wish": "hold"},
        },
    ],
)
def test_a_decision_that_cannot_be_is_none(wrong):
    with pytest.raises(ValidationError):
        Record.model_validate({"kind": "weights", "by": "test", **wrong})


def test_models_are_named_by_every_ledger_since_its_last_delete(tmp_path):
    for name, records in {
        "one": [deployed("1"), DELETED, deployed("2"), deployed("3")],
        "two": [deployed("3"), deployed("4")],
        "gone": [deployed("5"), DELETED],
    }.items():
        for one in records:
            append(tmp_path / name, one)
    found = named_digests(tmp_path / name for name in ("one", "two", "gone", "none"))
    assert found == {"sha256-2", "sha256-3", "sha256-4"}


def test_no_ledger_names_nothing():
    assert named_digests([]) == set()
