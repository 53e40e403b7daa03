"""Laws of effects, samples and verdicts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.config.drift import DriftSettings
from openautoglm.drift.compare import Verdict, compare
from openautoglm.drift.vocabulary import vocabulary_of
from openautoglm.drift.window import Window, draw
from openautoglm.statistics.two_samples import (
    cramers_v,
    evened,
    kolmogorov_smirnov,
    smallest_association,
    smallest_distance,
)

NUMBERS = st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=1, max_size=60)
TABLES = (
    st.integers(2, 8)
    .flatmap(lambda k: st.tuples(*[st.lists(st.integers(0, 40), min_size=k, max_size=k)] * 2))
    .filter(lambda rows: all(map(sum, rows)))
)
ROWS = st.lists(
    st.tuples(st.sampled_from(["", "a", "ab", "列车"]), st.sampled_from(["x", "y", None])),
    max_size=30,
)


@given(NUMBERS, NUMBERS)
def test_the_distance_is_the_largest_between_the_distribution_functions(a, b):
    a, b = np.array(a), np.array(b)
    found = kolmogorov_smirnov(a, b)
    largest = max(abs((a <= t).mean() - (b <= t).mean()) for t in np.concatenate([a, b]))
    assert found.size == pytest.approx(largest)
    assert 0 <= found.p_value <= 1
    assert kolmogorov_smirnov(b, a) == pytest.approx(found)


@given(TABLES)
def test_cramers_v_lies_between_0_and_1_whoever_comes_first(rows):
    found = cramers_v(np.array(rows))
    assert 0 <= found.size <= 1
    assert 0 <= found.p_value <= 1
    swapped = cramers_v(np.array(rows[::-1]))
    assert swapped == pytest.approx(found)


@given(TABLES, st.randoms(use_true_random=False))
def test_cramers_v_knows_no_order_of_classes(rows, random):
    order = list(range(len(rows[0])))
    random.shuffle(order)
    assert cramers_v(np.array(rows)[:, order]) == pytest.approx(cramers_v(np.array(rows)))


@given(TABLES)
def test_evened_samples_have_the_same_shares_and_one_size(rows):
    counts = np.array(rows)
    even, sizes = evened(counts), counts.sum(1)
    assert even.sum(1) == pytest.approx([2 / (1 / sizes).sum()] * 2)
    assert even / even.sum(1, keepdims=True) == pytest.approx(counts / sizes[:, None])


@given(TABLES)
def test_samples_of_one_size_are_even_already(rows):
    counts = np.array([rows[0], rows[0][::-1]])
    assert evened(counts) == pytest.approx(counts)


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("k", [2, 20])
def test_of_equal_distributions_so_many_exceed_the_smallest_association(k, share):
    rng, n = np.random.default_rng(k), 20_000
    shares = rng.dirichlet(np.full(k, 5.0))
    draws = [
        np.array([rng.multinomial(round(n * part), shares) for part in (1 - share, share)])
        for _ in range(2000)
    ]
    least = smallest_association(2 * n * share * (1 - share), k, 0.05)
    assert 0.035 < np.mean([cramers_v(evened(one)).size > least for one in draws]) < 0.065


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(1e-9, 0.5))
def test_more_rows_tell_smaller_distances_from_accident(n, m, alpha):
    assert smallest_distance(n + 1, m, alpha) <= smallest_distance(n, m, alpha)


@given(ROWS, st.integers(0, 30), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_sample_is_a_function_of_the_rows_and_not_of_their_order(rows, n, seed, random):
    def sample(rows):
        places = draw(Window([t for t, _ in rows], [x for _, x in rows]), n, seed)
        return [rows[place] for place in places.tolist()]

    shuffled = rows.copy()
    random.shuffle(shuffled)
    assert sample(rows) == sample(shuffled)
    assert len(sample(rows)) == min(n, len(rows))


@given(ROWS, st.integers(0, 30))
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(rows, n):
    window = Window([text for text, _ in rows], None)
    assert draw(window, n, 1).tolist() == draw(window, n + 5, 1).tolist()[:n]


@given(st.lists(st.text(max_size=8), max_size=8), st.text(max_size=8))
def test_nothing_of_a_text_in_train_is_unseen(train, text):
    found = vocabulary_of([*train, text])
    assert found.unseen_characters(text) == found.unseen_bigrams(text) == 0
    assert 0 <= vocabulary_of(train).unseen_characters(text) <= 1


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(100, 400), st.integers(2, 40))
def test_no_window_drifts_from_itself(seed, n, k):
    rng = np.random.default_rng(seed)
    columns = {
        "x": rng.normal(size=n),
        "mostly_0": rng.random(n) * (rng.random(n) < 0.02),
        "class": rng.integers(0, k, n).astype(str).astype(object),
    }
    found = compare(columns, columns, DriftSettings(rows=n))
    assert {c.verdict for c in found.columns} == {Verdict.NONE}
    assert {c.effect for c in found.columns} == {0}


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 99))
def test_a_short_window_is_too_little_data_whatever_is_in_it(seed, n):
    rng = np.random.default_rng(seed)
    found = compare(
        {"x": rng.normal(size=100)}, {"x": rng.normal(9, size=n)}, DriftSettings(rows=100)
    )
    assert found.verdict is Verdict.TOO_LITTLE


@pytest.mark.parametrize("classes", [2, 14, 100, 1000])
@pytest.mark.parametrize("reference", [1000, 100])
@pytest.mark.parametrize("draws", [40, pytest.param(500, marks=pytest.mark.sweep)])
def test_many_classes_raise_no_false_alarm(classes, reference, draws, record_property):
    record_property("cases", draws)
    rng = np.random.default_rng(classes)
    shares = 1 / np.arange(1, classes + 1)
    names = np.arange(classes).astype(str).astype(object)

    def column(n):
        return {"class": rng.choice(names, n, p=shares / shares.sum())}

    alarms = sum(
        compare(column(reference), column(1000), DriftSettings()).verdict is Verdict.DRIFT
        for _ in range(draws)
    )
    assert alarms <= draws / 100
