"""Laws of autoscaling."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.config.service import Autoscale
from openautoglm.deploy.local.autoscale import Autoscaler

SLOWLY = settings(deadline=None)
LOADS = st.floats(0, 400)
TIMES = st.floats(0.1, 14)


@st.composite
def services(draw, highest=95):
    least = draw(st.integers(1, 20))
    return Autoscale(
        cpu_threshold=f"{draw(st.integers(1, highest))}%",
        min_replicas=least,
        max_replicas=draw(st.integers(least + 1, 40)),
        scale_up_seconds=draw(st.floats(0, 30)),
        scale_down_seconds=draw(st.floats(0, 90)),
    )


def run(scaler, current, steps, now=0.0):
    """Counts after each step of (seconds since the last, measured)."""
    found = []
    for pause, measured in steps:
        now += pause
        current = scaler.decide(current, measured, now)
        found.append(current)
    return found


@SLOWLY
@given(services(), st.integers(0, 60), st.lists(st.tuples(TIMES, LOADS | st.none())))
def test_the_bounds_always_hold(made, current, steps):
    for count in run(Autoscaler(made), current, steps):
        assert made.min_replicas <= count <= made.max_replicas


@SLOWLY
@given(services(), st.data())
def test_a_constant_load_is_met_and_then_nothing_changes(made, data):
    """A load is so many percent of one replica, however many share it; use ends at 100 %."""
    load = data.draw(st.floats(0, made.max_replicas * 150.0))
    current = data.draw(st.integers(made.min_replicas, made.max_replicas))
    scaler, counts = Autoscaler(made), [current]
    for second in range(3000):
        counts.append(scaler.decide(counts[-1], min(load / counts[-1], 100), second))
        if len(set(counts[-200:])) == 1 and second > 200:  # longer than any window
            break
    else:
        raise AssertionError("it never comes to rest")
    changes = [(a, b) for a, b in pairwise(counts) if a != b]
    ups = [a < b for a, b in changes]
    assert all(ups) or not any(ups)  # it never goes to and fro
    enough = math.ceil(load / made.cpu_threshold / 1.1 - 1e-6)
    if made.cpu_threshold < 90:
        assert counts[-1] >= min(enough, made.max_replicas)


@SLOWLY
@given(
    services(83),
    st.lists(st.tuples(TIMES, st.floats(-0.099, 0.099)), min_size=1),
    st.data(),
)
def test_noise_within_the_tolerance_changes_nothing(made, noise, data):
    current = data.draw(st.integers(made.min_replicas, made.max_replicas))
    steps = [(pause, made.cpu_threshold * (1 + part)) for pause, part in noise]
    assert set(run(Autoscaler(made), current, steps)) == {current}


@SLOWLY
@given(services(), LOADS, st.data())
def test_a_moment_shorter_than_the_window_changes_nothing(made, spike, data):
    """However high or low it is: at the threshold before and after it, nothing changes."""
    current = data.draw(st.integers(made.min_replicas, made.max_replicas))
    window = made.scale_up_seconds if spike > made.cpu_threshold else made.scale_down_seconds
    moments = data.draw(st.integers(0, max(math.ceil(window / 0.5) - 1, 0)))
    calm, loud = [(0.5, made.cpu_threshold)] * 200, [(0.5, spike)] * moments
    assert set(run(Autoscaler(made), current, calm + loud + calm)) == {current}


@SLOWLY
@given(services(), st.lists(st.tuples(TIMES, LOADS)), st.lists(TIMES, min_size=1), st.data())
def test_without_measurements_nothing_changes(made, before, pauses, data):
    current = data.draw(st.integers(made.min_replicas, made.max_replicas))
    scaler = Autoscaler(made)
    counts = run(scaler, current, before)
    last = counts[-1] if counts else current
    now = sum(pause for pause, _ in before)
    assert set(run(scaler, last, [(pause, None) for pause in pauses], now)) == {last}
