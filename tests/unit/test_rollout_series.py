"""Curves of a rollout: few points, whole ones, whoever is killed; quantiles from counts."""

import resource
import signal
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.rollout.points import Arm, Point, Weighed, arm, quantile
from openautoglm.rollout.series import Series, read
from openautoglm.routing.counts import Counts

EDGES = (5.0, 10.0, 25.0, 100.0)


def point(seconds: int, state="canary", weight=5) -> Point:
    return Point(
        time=1e9 + seconds,
        seconds=seconds,
        state=state,
        weight=weight,
        champion=Arm(100 * seconds, seconds, 4.0, 9.5, 20.0, 3, 1, 0.9),
        challenger=Arm(5 * seconds),
        agreement=0.97,
        evidence={"errors": Weighed(0.01, None, -0.5, float("-inf"), 5.7)},
    )


def test_a_point_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "rollouts" / "1.jsonl"
    assert read(path) == []
    assert Series(path).add(point(3))
    assert read(path) == [point(3)]


def test_points_come_at_most_every_so_many_seconds(tmp_path):
    series = Series(tmp_path / "1.jsonl", every=10)
    kept = [second for second in range(40) if series.add(point(second))]
    assert kept == [0, 10, 20, 30]


def test_a_change_of_state_or_weight_is_a_point_at_once(tmp_path):
    series = Series(tmp_path / "1.jsonl", every=10)
    kept = [
        series.add(point(0)),
        series.add(point(1, weight=25)),
        series.add(point(2, state="held", weight=25)),
        series.add(point(3, state="held", weight=25)),
    ]
    assert kept == [True, True, True, False]


def test_no_two_points_are_of_one_time_and_none_goes_back(tmp_path):
    series = Series(tmp_path / "1.jsonl", every=1)
    series.add(point(5))
    assert not series.add(point(5, state="rolled_back"))
    assert not series.add(point(4))
    assert Series(tmp_path / "1.jsonl", every=1).add(point(6))
    assert [found.seconds for found in read(tmp_path / "1.jsonl")] == [5, 6]


def test_a_long_rollout_has_as_many_points_as_a_short_one_evenly_spaced(tmp_path):
    path = tmp_path / "1.jsonl"
    series = Series(path, every=1, limit=50)
    for second in range(3000):
        series.add(point(second))
        if second == 1111:
            series = Series(path, every=1, limit=50)
    found = [one.seconds for one in read(path)]
    gaps = {after - before for before, after in pairwise(found)}
    assert 20 <= len(found) <= 50
    assert found[0] < 128
    assert found[-1] > 3000 - 128
    assert gaps <= {32, 64, 128}


def test_killed_at_any_byte_of_a_point_it_goes_on_from_the_whole_ones(tmp_path):
    path = tmp_path / "1.jsonl"
    series = Series(path)
    for second in (0, 10, 20):
        series.add(point(second))
    whole = path.read_bytes()
    first = whole[: whole[:-1].rfind(b"\n") + 1]
    for cut in range(len(first), len(whole)):
        path.write_bytes(whole[:cut])
        assert read(path) == [point(0), point(10)]
        assert Series(path).add(point(20))
        assert path.read_bytes() == whole


def test_damaged_lines_are_left_out(tmp_path):
    path = tmp_path / "1.jsonl"
    series = Series(path)
    for second in (0, 10, 20):
        series.add(point(second))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 50 + b"\n" + lines[2] + b"{}\n")
    assert read(path) == [point(0), point(20)]


def test_a_disk_that_takes_nothing_is_told_once_and_points_go_on_afterwards(tmp_path):
    folder, told = tmp_path / "rollouts", []
    folder.write_text("no folder")
    series = Series(folder / "1.jsonl", every=1, tell=told.append)
    assert not series.add(point(1))
    assert not series.add(point(2))
    assert len(told) == 1
    assert "no curves for now" in told[0]
    folder.unlink()
    assert series.add(point(3))
    assert read(folder / "1.jsonl") == [point(3)]


@contextmanager
def room_for(size: int):
    """No file grows above this many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_loses_points_and_nothing_else(tmp_path):
    path, told = tmp_path / "1.jsonl", []
    series = Series(path, tell=told.append)
    series.add(point(0))
    size = path.stat().st_size
    with room_for(size + 100):
        assert not series.add(point(10))
        assert not series.add(point(20))
    assert len(told) == 1
    assert read(path) == [point(0)]
    assert series.add(point(30))
    assert read(path) == [point(0), point(30)]


counts = st.lists(st.integers(0, 50), min_size=5, max_size=5)
shares = st.floats(0.001, 1)


def at_most(buckets):
    """Telemetry's counts of answers that lie in five buckets: up to each edge, and above."""
    n = sum(buckets)
    later = [sum(buckets[number + 1 :]) for number in range(4)]
    return [n] * 4, later


@given(counts, shares)
def test_a_quantile_lies_between_the_edges_of_its_answers(buckets, share):
    found = quantile(share, EDGES, *at_most(buckets))
    n = sum(buckets)
    if n == 0:
        assert found is None
        return
    ends = [sum(buckets[: number + 1]) for number in range(5)]
    number = next(number for number in range(5) if ends[number] / n >= share)
    low, high = ((0.0, *EDGES)[number], (*EDGES, EDGES[-1])[number])
    assert low <= found <= high * (1 + 1e-12)


@given(counts, shares, shares)
def test_a_higher_quantile_is_no_faster(buckets, one, other):
    low, high = sorted((one, other))
    found = [quantile(share, EDGES, *at_most(buckets)) for share in (low, high)]
    assert found == [None, None] or found[0] <= found[1] * (1 + 1e-12)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6), shares, shares)
def test_counts_that_do_not_fit_together_still_give_quantiles_in_order(pairs, one, other):
    slow = [min(pair) for pair in pairs]
    timed = [max(pair) for pair in pairs]
    low, high = sorted((one, other))
    found = [quantile(share, EDGES, timed, slow) for share in (low, high)]
    assert (found[0] is None) == (found[1] is None) == (not any(timed[: len(EDGES)]))
    assert found[0] is None or 0 <= found[0] <= found[1] * (1 + 1e-12) <= 101


def test_quantiles_of_answers_spread_evenly_are_where_they_should_be():
    timed, slow = at_most([50, 50, 0, 0, 0])
    assert quantile(0.5, EDGES, timed, slow) == pytest.approx(5)
    assert quantile(0.75, EDGES, timed, slow) == pytest.approx(7.5)
    assert quantile(0.99, EDGES, timed, slow) == pytest.approx(9.9)


def test_an_arm_is_what_telemetry_counted_in_milliseconds():
    counted = Counts(requests=110, refused=10, errors=2, timed=(100, 100), slow=(50, 0))
    found = arm(counted, (0.1, 0.2), labelled=4, wrong=1, confidence=0.8)
    assert replace(found, p95=None, p99=None) == Arm(100, 2, 100.0, None, None, 4, 1, 0.8)
    assert found.p95 == pytest.approx(190)
    assert arm(Counts(), (0.1, 0.2)) == Arm()
