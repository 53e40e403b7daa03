"""Laws of the ledger: what was acknowledged stays, and damage is never read as a decision."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.release import Release
from openautoglm.errors import ArtifactError


def release(version):
    return Release(
        name="clc", version=version, digest="sha256-1", family="glm", variant="int8", origin="here"
    )


@st.composite
def records(draw):
    kind = draw(st.sampled_from(["deploy", "weights", "delete"]))
    text = st.text(max_size=20)
    if kind == "delete":
        return Record(kind=kind, by=draw(text))
    weight = draw(st.integers(0, 100))
    releases = {"champion": release("1"), "challenger": release("2")}
    return Record(
        kind=kind,
        by=draw(text),
        note=draw(text),
        releases=releases,
        weights={"champion": 100 - weight, "challenger": weight},
        shadow=draw(st.integers(0, 100)),
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("ledger") / "ledger.jsonl"


def written(path: Path, decisions):
    path.unlink(missing_ok=True)
    for one in decisions:
        append(path, one)
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4), records(), st.data())
def test_a_cut_leaves_the_decisions_before_it_and_the_next_one_follows(path, before, after, data):
    whole = written(path, before)
    end = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:end])
    kept = whole[:end].count(b"\n")
    assert read(path) == before[:kept]
    append(path, after)
    assert read(path) == [*before[:kept], after]


@settings(max_examples=100, deadline=None)
@given(st.lists(records(), min_size=1, max_size=3), st.data())
def test_a_changed_byte_is_an_error_or_a_cut_never_another_decision(path, decisions, data):
    whole = bytearray(written(path, decisions))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(whole))
    with contextlib.suppress(ArtifactError):
        assert read(path) == decisions[:-1]
        assert place == len(whole) - 1
