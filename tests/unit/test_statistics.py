"""Metrics and intervals, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from openautoglm.statistics.bootstrap import interval, paired_difference
from openautoglm.statistics.classification import (
    calibration_error,
    confusion,
    f1_of,
    per_class,
    scores,
)
from openautoglm.statistics.paired import mcnemar

SETTINGS = {"resamples": 2000, "confidence": 0.95, "seed": 1}


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 4, 500)
    predicted = np.where(rng.random(500) < 0.7, y, rng.integers(0, 4, 500))
    return y, predicted


def test_metrics_are_those_of_scikit_learn(rows):
    y, predicted = rows
    assert (confusion(y, predicted, 4) == confusion_matrix(y, predicted)).all()
    found = scores(y, predicted, 4)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(y, predicted, average="macro"))
    precision, recall, f1, support = precision_recall_fscore_support(y, predicted)
    table = per_class(y, predicted, 4)
    for name, expected in {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
    }.items():
        assert table[name] == pytest.approx(expected)


def test_a_class_that_never_occurs_takes_no_part_in_macro_f1(rows):
    y, predicted = rows
    assert np.isnan(f1_of(confusion(y, predicted, 5))[4])
    assert scores(y, predicted, 5)["macro_f1"] == pytest.approx(scores(y, predicted, 4)["macro_f1"])


def test_calibration_error_by_hand():
    proba = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    y = np.array([0, 1, 0, 1])
    # confidence 0.9: right 1 of 2, gap 0.4; confidence 0.6: right 2 of 2, gap 0.4
    assert calibration_error(y, proba) == pytest.approx(0.4)


def test_the_interval_of_an_accuracy_is_the_binomial_one(rows):
    y, predicted = rows
    found = interval(y, predicted, 4, metric="accuracy", **SETTINGS)
    p = (y == predicted).mean()
    half = 1.96 * np.sqrt(p * (1 - p) / len(y))
    assert found.value == pytest.approx(p)
    assert found.low == pytest.approx(p - half, abs=0.006)
    assert found.high == pytest.approx(p + half, abs=0.006)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_quick_bootstrap_is_the_row_by_row_one(rows, metric):
    y, predicted = rows
    found = interval(y, predicted, 4, metric=metric, **SETTINGS)
    rng = np.random.default_rng(7)
    draws = [
        scores(y[pick], predicted[pick], 4)[metric]
        for pick in (rng.integers(0, len(y), len(y)) for _ in range(2000))
    ]
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.006)


def test_a_paired_difference_is_narrower_than_two_intervals(rows):
    y, a = rows
    b = a.copy()
    b[:20] = (y[:20] + 1) % 4
    found = paired_difference(y, a, b, 4, metric="accuracy", **SETTINGS)
    assert found.value == pytest.approx((a == y).mean() - (b == y).mean())
    assert found.low > 0
    alone = interval(y, a, 4, metric="accuracy", **SETTINGS)
    assert found.high - found.low < (alone.high - alone.low) / 2


def test_a_model_does_not_differ_from_itself(rows):
    y, a = rows
    assert paired_difference(y, a, a, 4, metric="macro_f1", **SETTINGS) == (0, 0, 0)


def test_mcnemar_counts_what_only_one_got_right():
    y = np.zeros(20, dtype=np.int64)
    a = np.array([0] * 15 + [1] * 5)
    b = np.array([0] * 5 + [1] * 10 + [0] * 5)
    found = mcnemar(y, a, b)
    assert (found.only_a, found.only_b) == (10, 5)
    assert found.p_value == pytest.approx(0.3017578125)
    assert mcnemar(y, a, a).p_value == 1
