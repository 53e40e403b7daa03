"""Laws of the metrics and the bootstrap."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.statistics.bootstrap import interval, paired_difference
from openautoglm.statistics.classification import METRICS, calibration_error, scores

SETTINGS = {"resamples": 200, "confidence": 0.9, "seed": 0}


@st.composite
def predictions(draw, columns=2):
    k = draw(st.integers(2, 5))
    n = draw(st.integers(1, 60))
    classes = st.lists(st.integers(0, k - 1), min_size=n, max_size=n)
    return k, *(np.array(draw(classes), dtype=np.int64) for _ in range(columns))


@given(predictions(), st.sampled_from(METRICS))
def test_metrics_lie_between_0_and_1_and_are_1_only_for_the_truth(data, metric):
    k, y, predicted = data
    found = scores(y, predicted, k)[metric]
    assert 0 <= found <= 1
    assert (found == 1) == bool((y == predicted).all())


@settings(max_examples=50)
@given(predictions(), st.sampled_from(METRICS))
def test_an_interval_is_ordered_and_repeats(data, metric):
    k, y, predicted = data
    found = interval(y, predicted, k, metric=metric, **SETTINGS)
    assert 0 <= found.low <= found.high <= 1
    assert found == interval(y, predicted, k, metric=metric, **SETTINGS)


@settings(max_examples=50)
@given(predictions(columns=3), st.sampled_from(METRICS))
def test_swapping_the_models_turns_the_sign(data, metric):
    k, y, a, b = data
    one = paired_difference(y, a, b, k, metric=metric, **SETTINGS)
    two = paired_difference(y, b, a, k, metric=metric, **SETTINGS)
    assert np.isclose(one.value, -two.value)


@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(2, 5))
def test_calibration_error_lies_between_0_and_1(seed, n, k):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(k), n)
    assert 0 <= calibration_error(rng.integers(0, k, n), proba) <= 1
