"""Laws of the ledger: what was acknowledged stays, and damage is never read as a decision."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.release import Release
from openautoglm.deploy.rollout_record import Measured, Request, RolloutRecord
from openautoglm.errors import ArtifactError


def release(version):
    return Release(
        name="clc", version=version, digest="sha256-1", family="glm", variant="int8", origin="here"
    )


SHARE = st.floats(-1, 1)
MEASURED = st.builds(
    Measured,
    verdict=st.sampled_from(["no_worse", "worse", "undecided"]),
    value=st.none() | SHARE,
    interval=st.none() | st.tuples(SHARE, SHARE),
    n=st.fixed_dictionaries({"champion": st.integers(0), "challenger": st.integers(0)}),
    rule=st.text(max_size=9),
    needed=st.none() | st.integers(0),
)
ROLLOUTS = st.builds(
    RolloutRecord,
    id=st.just(1),
    state=st.sampled_from(["shadow", "canary", "held", "promoted", "rolled_back"]),
    step=st.integers(0, 9),
    reason=st.text(max_size=9),
    evidence=st.dictionaries(st.sampled_from(["errors", "slow"]), MEASURED),
    missing=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    settings=st.none() | st.just(RolloutSettings()),
    settings_digest=st.just("sha256-3"),
)


def parts(draw, kind):
    """What a rollout's records have besides."""
    if kind == "request":
        asked = Request(id=1, wish=draw(st.sampled_from(["hold", "abort"])))
        return {"owner": "rollout 1", "request": asked}
    if kind == "rollout":
        told = draw(ROLLOUTS)
        return {"owner": "rollout 1" if told.open else "", "rollout": told}
    return {}


@st.composite
def records(draw):
    kind = draw(st.sampled_from(["deploy", "weights", "delete", "rollout", "request"]))
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
        **parts(draw, kind),
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
