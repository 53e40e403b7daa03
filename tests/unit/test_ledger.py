"""The ledger's file: whole lines, torn ends, damage, many writers, a full disk."""

import multiprocessing
import resource

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


DELETED = Record(kind="delete", by="test")


def test_what_is_appended_is_read_in_order(tmp_path):
    records = [deployed(str(n), note="注释\n二 \u2028") for n in range(3)]
    for one in records:
        append(tmp_path / "new" / "ledger.jsonl", one)
    assert read(tmp_path / "new" / "ledger.jsonl") == records
    assert last(tmp_path / "new" / "ledger.jsonl") == records[-1]


def test_no_ledger_has_no_decision(tmp_path):
    assert read(tmp_path / "ledger.jsonl") == []
    assert last(tmp_path / "ledger.jsonl") is None


def test_after_a_delete_nothing_is_in_force(tmp_path):
    for one in (deployed(), DELETED):
        append(tmp_path / "ledger.jsonl", one)
    assert last(tmp_path / "ledger.jsonl") is None
    assert len(read(tmp_path / "ledger.jsonl")) == 2


def test_a_line_cut_at_any_byte_is_no_decision_and_the_next_one_takes_its_place(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append(path, deployed("1"))
    first = path.read_bytes()
    append(path, deployed("2"))
    whole = path.read_bytes()
    for end in range(len(first), len(whole)):
        path.write_bytes(whole[:end])
        assert [one.releases["champion"].version for one in read(path)] == ["1"]
        append(path, deployed("3"))
        assert [one.releases["champion"].version for one in read(path)] == ["1", "3"]


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


def _append_many(path, writer):
    for number in range(20):
        append(path, deployed(f"{writer}-{number}"))


def test_ten_processes_at_once_lose_nothing(tmp_path):
    path = tmp_path / "ledger.jsonl"
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_append_many, args=(path, n)) for n in range(10)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    found = [one.releases["champion"].version for one in read(path)]
    assert sorted(found) == sorted(f"{w}-{n}" for w in range(10) for n in range(20))
    for writer in range(10):
        mine = [version for version in found if version.startswith(f"{writer}-")]
        assert mine == [f"{writer}-{n}" for n in range(20)]


def _append_beyond(path, bound):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bound, bound))
    try:
        append(path, deployed("2"))
    except OSError:
        raise SystemExit(7) from None


def test_a_line_for_which_there_is_no_room_leaves_the_ledger_as_it_was(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append(path, deployed("1"))
    before = path.read_bytes()
    context = multiprocessing.get_context("forkserver")
    writer = context.Process(target=_append_beyond, args=(path, len(before) + 50))
    writer.start()
    writer.join()
    assert writer.exitcode == 7
    assert path.read_bytes() == before


CHAMPION = {"champion": release()}
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
