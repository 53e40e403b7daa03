"""Laws of the sequential tests: they are valid however one looks, and go on from what was kept."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb

from openautoglm.rollout.analysis import bets, events, intervals, split
from openautoglm.rollout.analysis.comparison import Comparison
from openautoglm.rollout.analysis.evidence import ERRORS, Metric
from openautoglm.rollout.analysis.looks import Look, Values
from openautoglm.rollout.analysis.ratios import RATIOS, log_factors

rates = st.floats(0.001, 0.999)
exposures = st.integers(1, 12)
TOLERANT = Metric("slow", "events", "requests", tolerance=0.05, margin=0.2)
MEAN = Metric("confidence", "mean", "requests", tolerance=0.0, margin=0.05)
PAIRS = Metric("wrong", "pairs", "labels", tolerance=0.0, margin=0.05)
AGREEMENT = Metric("agreement", "agreement", "requests", tolerance=0.1, margin=0.2)


def binomial(n, p):
    k = np.arange(n + 1)
    return comb(n, k) * p**k * (1 - p) ** (n - k)


def mean_of(log, n0, n1, p0, p1):
    """Exact mean of a block's factor over everything that its events can be, `[components]`."""
    k0, k1 = np.meshgrid(np.arange(n0 + 1), np.arange(n1 + 1), indexing="ij")
    chance = np.multiply.outer(binomial(n0, p0), binomial(n1, p1))
    block = np.stack([np.full(k0.shape, n0), np.full(k0.shape, n1), k0, k1]).astype(float)
    return (np.exp(log(block)) * chance).sum((-1, -2))


@given(n0=exposures, n1=exposures, champion=rates, part=st.floats(0, 1))
def test_the_mean_of_a_ratio_is_at_most_one_unless_the_challenger_is_worse(n0, n1, champion, part):
    def log(block):
        share = block[1] / (block[0] + block[1])
        return log_factors(block[3], block[2] + block[3], share)

    assert (mean_of(log, n0, n1, champion, part * champion) <= 1 + 1e-9).all()


@given(
    n0=exposures,
    n1=exposures,
    champion=rates,
    guess=rates,
    limit=st.floats(0.001, 0.5),
    beyond=st.floats(0, 1),
    below=st.floats(0, 1),
)
def test_the_mean_of_a_bet_is_at_most_one_beyond_its_limit(
    n0, n1, champion, guess, limit, beyond, below
):
    """Whatever rates it was made for, and whatever the champion's rate is."""
    p0 = champion * (1 - limit)
    p1 = p0 + limit + beyond * (1 - p0 - limit)
    to = (guess + limit) * below

    def less(block):
        shape = block.shape[1:]
        return bets.two_arms(block, np.full(shape, guess), np.full((1, *shape), to), limit)

    def more(block):
        shape = block.shape[1:]
        far = guess + limit + (1 - below) * 0.5
        return bets.two_arms(block, np.full(shape, guess), np.full((1, *shape), far), limit)

    assert (mean_of(less, n0, n1, p0, p1) <= 1 + 1e-9).all()
    assert (mean_of(more, n0, n1, p0, p0 + limit * below) <= 1 + 1e-9).all()


@given(
    guess=rates,
    limit=st.floats(0.001, 0.5),
    to=st.floats(-0.9, 0.9),
    more=st.floats(0, 1),
    fewer=st.floats(0, 1),
)
def test_the_mean_of_a_bet_on_pairs_is_at_most_one_on_the_other_side(guess, limit, to, more, fewer):
    total = max(1.0, more + fewer)
    chances = np.array([fewer, more, total - more - fewer]) / total
    blocks = np.array([[1, 1, 1, 0], [1, 1, 0, 1], [1, 1, 0, 0]], float).T
    factors = np.exp(bets.pairs(blocks, np.full(3, guess), np.full((1, 3), to), limit))
    difference = (more - fewer) / total
    if (difference >= limit) == (to < limit):
        assert (factors @ chances <= 1 + 1e-9).all()


@given(
    values=st.lists(st.floats(0, 1), min_size=2, max_size=2),
    chance=rates,
    before=st.lists(st.floats(0, 1), max_size=30),
)
def test_the_mean_of_a_step_of_a_confidence_sequence_is_at_most_one(values, chance, before):
    """Against the true mean, for a variable of two values, whatever was seen before."""
    n, total, squares = len(before), sum(before), sum(value**2 for value in before)
    old = intervals.start(1)
    if before:
        block = np.array([[n], [total], [squares]], float)
        old = intervals.add(old, block, log_threshold=5.0, width=0.05)
    true = chance * values[0] + (1 - chance) * values[1]
    factors = np.zeros(2)
    for value, part in zip(values, (chance, 1 - chance), strict=True):
        block = np.array([[1], [value], [value**2]])
        new = intervals.add(old, block, log_threshold=5.0, width=0.05)
        steps = np.subtract(intervals.log_evidence(new, true), intervals.log_evidence(old, true))
        factors += part * np.exp(steps)
    assert (factors <= 1 + 1e-9).all()


looks = st.builds(
    lambda n0, n1, a, b: Look(n0, n1, round(a * n0), round(b * n1)),
    st.integers(0, 200),
    st.integers(0, 60),
    st.floats(0, 1),
    st.floats(0, 1),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(looks, min_size=1, max_size=12), st.integers(0, 12))
def test_kept_and_taken_up_again_it_goes_on_exactly(made, at):
    metrics = [ERRORS, TOLERANT, MEAN, AGREEMENT]
    through, first = Comparison(metrics), Comparison(metrics)
    for look in made:
        feed(through, look)
    for look in made[:at]:
        feed(first, look)
    second = Comparison(metrics, state=json.loads(json.dumps(first.state())))
    for look in made[at:]:
        feed(second, look)
    assert second.state() == through.state()
    assert second.evidence() == through.evidence()


def feed(comparison, look):
    n0, n1, k0, k1 = look
    comparison.add("errors", look)
    comparison.add("slow", look)
    comparison.add("confidence", Values(n0, n1, k0 / 2, k1 / 2, k0 / 4, k1 / 4))
    comparison.add("agreement", Look(0, n1, 0, k1))


@settings(max_examples=30, deadline=None)
@given(st.lists(looks, min_size=1, max_size=8), st.sampled_from([ERRORS, TOLERANT, PAIRS]))
def test_ten_rollouts_at_once_are_ten_rollouts(made, metric):
    together, alone = events.start(3), events.start()
    for look in made:
        block = np.array([look.n1, look.n1, 0, look.k1] if metric is PAIRS else look, float)
        together = events.add(together, np.stack([block] * 3, axis=1), metric)
        alone = events.add(alone, block, metric)
    for many, one in zip(events.log_evidence(together), events.log_evidence(alone), strict=True):
        np.testing.assert_allclose(many, np.full(3, one), rtol=1e-9, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rates_that_rise_and_fall_for_both_are_no_evidence_of_worse(seed):
    """As are weights that follow them: a challenger that gets its share when all goes badly."""
    rng = np.random.default_rng(seed)
    tests, worst = events.start(200), np.zeros(200)
    for look in range(120):
        rate, share = (0.30, 0.5) if look // 20 % 2 else (0.01, 0.05)
        n1 = np.full(200, 100 * share)
        k0, k1 = rng.binomial(100 - int(n1[0]), rate, 200), rng.binomial(int(n1[0]), rate, 200)
        tests = events.add(tests, np.stack([100 - n1, n1, k0, k1]), ERRORS)
        worst = np.maximum(worst, events.log_evidence(tests)[0])
    assert (worst >= math.log(20)).mean() <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("tolerance", [0.0, 0.02])
@pytest.mark.parametrize("kind", ["events", "pairs"])
def test_at_the_edge_of_either_hypothesis_it_errs_as_seldom_as_promised(kind, tolerance):
    rng, rollouts, alpha = np.random.default_rng(7), 1500, 0.05
    metric = Metric("errors", kind, "requests", tolerance=tolerance, margin=0.05)
    for difference, question in ((tolerance, 0), (0.05, 1)):
        tests, most = events.start(rollouts), np.zeros(rollouts)
        for _ in range(150):
            if kind == "events":
                k = rng.binomial(40, 0.1, rollouts), rng.binomial(40, 0.1 + difference, rollouts)
            else:
                split_ = rng.multinomial(40, [0.04, 0.04 + difference, 0.92 - difference], rollouts)
                k = split_[:, 0], split_[:, 1]
            block = np.stack([np.full(rollouts, 40.0), np.full(rollouts, 40.0), *k])
            tests = events.add(tests, block, metric)
            most = np.maximum(most, events.log_evidence(tests)[question])
        allowed = alpha + 3 * math.sqrt(alpha * (1 - alpha) / rollouts)
        assert (most >= math.log(1 / alpha)).mean() <= allowed


@pytest.mark.parametrize("arms", [1, 2])
def test_a_confidence_sequence_holds_the_truth_at_all_looks_at_once(arms):
    rng, rollouts, log_threshold = np.random.default_rng(3), 1000, math.log(1 / 0.025)
    interval = intervals.start(arms, rollouts)
    ever = np.zeros(rollouts, bool)
    true = 0.8 if arms == 1 else 0.7 - 0.8
    widths = []
    for _ in range(150):
        values = [rng.beta(8, 2, (30, rollouts)), rng.beta(7, 3, (20, rollouts))][:arms]
        block = np.stack(
            [[np.full(rollouts, len(of)), of.sum(0), (of**2).sum(0)] for of in values],
            axis=1,
        )
        interval = intervals.add(interval, block, log_threshold=log_threshold, width=0.03)
        low, high = intervals.bounds(interval, log_threshold=log_threshold)
        ever |= (low > true) | (high < true)
        widths.append((high - low).mean())
    assert ever.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rollouts)
    assert widths[-1] < 0.05 < widths[0]


def test_the_meant_split_gives_no_alarm_and_another_one_does():
    rng = np.random.default_rng(5)
    same, other = split.start(1000), split.start(1000)
    alarmed = np.zeros(1000, bool)
    for weight in itertools.chain([0.05] * 100, [0.25] * 100, [0.5] * 100, [1.0] * 10):
        n1, more = rng.binomial(100, weight, 1000), rng.binomial(100, min(1, weight * 1.3), 1000)
        same = split.add(same, 100.0 - n1, n1 * 1.0, np.asarray(weight))
        other = split.add(other, 100.0 - more, more * 1.0, np.asarray(weight))
        alarmed |= split.log_evidence(same) >= math.log(100)
    assert alarmed.mean() <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 1000)
    assert (split.log_evidence(other) >= math.log(100)).all()


def test_the_ratios_reach_from_a_tenth_more_to_thirtyfold():
    assert RATIOS[0] < 1.11
    assert RATIOS[-1] > 30


@given(
    rate=st.floats(0.005, 0.6),
    limit=st.floats(0.003, 0.05),
    part=st.floats(0, 0.75),
    share=st.floats(0.03, 0.75),
)
def test_a_bet_grows_about_as_fast_as_the_best_one(rate, limit, part, share):
    """Which is by the divergence to the nearest point of the null (Turner, Ly & Grünwald).

    For the alternatives that are bet on, and shares as rollouts have them: far above, bets are as
    valid, and not as sharp.
    """
    to = float(np.clip(rate + part * limit, 0.001, 0.95))
    block = 1000 * np.array([1 - share, share, (1 - share) * rate, share * to])
    grown = bets.two_arms(block, np.asarray(rate), np.asarray([to]), limit)[0]
    nearest = np.linspace(1e-6, 1 - limit - 1e-6, 20_001)
    best = (block[0] * divergence(rate, nearest) + block[1] * divergence(to, nearest + limit)).min()
    assert 0.95 * best - 0.01 <= grown <= best + 0.01


def divergence(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
