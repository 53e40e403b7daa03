"""Simulated rollouts: our rule keeps its promises, in a sample here and in full in the sweep."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "operating_characteristics.json"
KEYS = {
    "scenario", "rule", "n", "false_rollback", "detection", "bad_answers_mean",
    "time_to_decision", "seed", "code_digest",
}  # fmt: skip
DETECTED = (
    "errors 1 % -> 2 %", "errors 1 % -> 5 %", "errors 1 % -> 20 %", "latency tail doubled",
    "accuracy 0.90 -> 0.88", "accuracy 0.90 -> 0.85",
)  # fmt: skip
CANARY = "errors 1 % -> 5 %, 10 % canary"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import operating_characteristics

    return operating_characteristics


def holds_bars(rows, scenarios):
    """The bars, three standard errors of the sample aside."""
    found = {(row["scenario"], row["rule"]): row for row in rows}
    for row in rows:
        if row["rule"].startswith("sequential") and row["false_rollback"] is not None:
            error = 3 * math.sqrt(0.01 * 0.99 / row["n"]) if row["n"] < 10_000 else 0
            assert row["false_rollback"] <= 0.01 + error, row
    for name in set(DETECTED) & set(scenarios):
        row = found[name, "sequential"]
        error = 3 * math.sqrt(0.05 * 0.95 / row["n"]) if row["n"] < 10_000 else 0
        assert row["detection"] >= 0.95 - error, row
    for name in {"no traffic", "labels never come"} & set(scenarios):
        row = found[name, "sequential"]
        assert row["promoted"] == 0
        assert row["undecided"] == 1 - row["false_rollback"]
    bad = {rule: found[CANARY, rule]["bad_answers_mean"] for rule in RULES}
    assert 70 < bad["threshold"] < 80
    assert bad["sequential"] * 5 <= bad["threshold"]
    assert bad["sequential"] <= 1.5 * bad["t-test"]


RULES = ("sequential", "threshold", "t-test", "mann-whitney")


@pytest.mark.slow
def test_a_sample_holds_the_bars_and_is_the_same_again(benchmark):
    first, *others = benchmark.SCENARIOS
    short = [replace(first, seconds=780)]
    wanted = ("errors 1 % -> 5 %", "latency tail doubled", "no traffic", CANARY)
    short += [one for one in others if one.name in wanted]
    short += [replace(one, seconds=240) for one in others if one.name == "labels never come"]
    names = [one.name for one in short]
    rows = benchmark.characteristics(200, 1, scenarios=short)
    holds_bars(rows, names)
    assert benchmark.markdown(rows).count("\n") == len(rows) + 1
    again = benchmark.characteristics(200, 1, scenarios=[short[0], short[-2]])
    same = {short[0].name, short[-2].name, "no difference, never promoted"}
    assert again == [row for row in rows if row["scenario"] in same]


@pytest.mark.sweep
def test_all_rollouts_hold_the_bars(benchmark, record_property):
    rows = benchmark.characteristics(10_000, 0, jobs=os.cpu_count() or 1)
    record_property("cases", 10_000 * len(benchmark.SCENARIOS))
    holds_bars(rows, [one.name for one in benchmark.SCENARIOS])


def test_the_published_figures_hold_the_bars():
    rows = json.loads(RESULT.read_text(encoding="utf-8"))
    assert all(set(row) >= KEYS for row in rows)
    assert {row["n"] for row in rows} == {10_000}
    assert {row["rule"] for row in rows} >= set(RULES)
    holds_bars(rows, {row["scenario"] for row in rows})


def test_mann_whitney_is_the_one_of_the_books(benchmark):
    from rollouts.mannwhitney import seconds_test

    rng = np.random.default_rng(0)
    n = rng.poisson(3, (60, 2, 5))
    looks = np.concatenate([n, rng.binomial(n, 0.3)], axis=1).astype(float)
    for rollout, mine in enumerate(seconds_test(looks)):
        n0, n1, k0, k1 = looks[..., rollout].T
        book = mannwhitneyu(
            k1[n1 > 0] / n1[n1 > 0],
            k0[n0 > 0] / n0[n0 > 0],
            use_continuity=False,
            method="asymptotic",
        )
        assert 2 * (1 - 0.5 * math.erfc(-abs(mine) / math.sqrt(2))) == pytest.approx(book.pvalue)
    assert (seconds_test(np.zeros((60, 4, 5))) == 0).all()
