"""From the state of a metric's tests to the evidence that people and the ledger are told."""

from __future__ import annotations

import math

import numpy as np

from openautoglm.rollout.analysis import events, intervals
from openautoglm.rollout.analysis.evidence import Evidence, Kind, Metric, judged
from openautoglm.rollout.analysis.looks import Floats
from openautoglm.rollout.verdict import Verdict

_RATIOS = "conditional on the events (Lindon & Malek, NeurIPS 2022)"
_BETS = "e-variables for two samples (Turner, Ly & Grünwald, JSPI 2024)"
_PAIRS = "betting on paired differences (Waudby-Smith & Ramdas, JRSS-B 2024)"
_SIGNS = "sequential McNemar: ratios of discordant pairs (McNemar 1947; Lindon & Malek 2022)"
_MEANS = "empirical-Bernstein confidence sequence (Waudby-Smith & Ramdas, JRSS-B 2024)"


def evidence(
    metric: Metric, tests: events.Tests | None, interval: intervals.Interval, threshold: float
) -> Evidence:
    """The evidence of one rollout.

    Args:
        metric: What was compared.
        tests: Of counted events and of pairs, with no leading axes.
        interval: Of the difference, or of the one mean.
        threshold: `log(1 / alpha)` of this metric.
    """
    if tests is None:
        log_worse, log_no_worse, needed = _of_interval(metric, interval, threshold)
    else:
        log_worse, log_no_worse = (float(part) for part in events.log_evidence(tests))
        needed = _until(metric, tests, threshold)
    verdict = judged(log_worse, log_no_worse, threshold)
    n0, n1, value0, value1 = _arms(metric, tests, interval)
    difference = None if value0 is None or value1 is None else value1 - value0
    low, high = (float(bound) for bound in intervals.bounds(interval, log_threshold=threshold))
    if metric.kind == "pairs":
        low, high = 2 * low - 1, 2 * high - 1
    return Evidence(
        metric=metric.name,
        verdict=verdict,
        unit=metric.unit,
        n0=n0,
        n1=n1,
        value0=value0,
        value1=value1,
        difference=value1 if metric.kind == "agreement" else difference,
        low=low,
        high=high,
        log_worse=log_worse,
        log_no_worse=log_no_worse,
        threshold=threshold,
        needed=needed if verdict is Verdict.UNDECIDED else 0,
        method=_method(metric),
    )


def _method(metric: Metric) -> str:
    exact = metric.tolerance == 0
    methods: dict[Kind, str] = {
        "events": f"{_RATIOS}; {_BETS}" if exact else _BETS,
        "pairs": f"{_SIGNS}; {_PAIRS}" if exact else _PAIRS,
        "mean": _MEANS,
        "agreement": _MEANS,
    }
    return methods[metric.kind]


def _arms(
    metric: Metric, tests: events.Tests | None, interval: intervals.Interval
) -> tuple[int, int, float | None, float | None]:
    if tests is not None:
        n0, n1, k0, k1 = (float(part) for part in tests.seen)
        return int(n0), int(n1), k0 / n0 if n0 else None, k1 / n1 if n1 else None
    n = interval.seen[0]
    values = [float(mean) if count else None for mean, count in _each(interval)]
    if metric.kind == "agreement":
        return 0, int(n[0]), None, values[0]
    return int(n[0]), int(n[1]), values[0], values[1]


def _each(interval: intervals.Interval) -> list[tuple[float, float]]:
    return list(zip(intervals.means(interval), interval.seen[0], strict=True))


def _of_interval(
    metric: Metric, interval: intervals.Interval, threshold: float
) -> tuple[float, float, int | None]:
    """Log evidence of both questions, and the exposure that would decide, from a mean alone."""
    # More is better in a mean and worse in disagreement.
    sign = -1 if metric.kind == "mean" else 1
    towards = intervals.log_evidence(interval, sign * metric.tolerance)
    within = intervals.log_evidence(interval, sign * metric.margin)
    log_worse, log_no_worse = towards[0 if sign > 0 else 1], within[1 if sign > 0 else 0]
    n, known = float(interval.seen[0, -1]), float(interval.information)
    if not known:
        return float(log_worse), float(log_no_worse), None
    worse_by = sign * float(interval.centre / interval.weight)
    gap = max(worse_by - metric.tolerance, metric.margin - worse_by)
    # The sequence's half width is sqrt(2 L / information), and half as much again for the square
    # as its bets are not those of the one look that decides.
    needed = n * (3 * threshold / gap**2 / known - 1)
    return float(log_worse), float(log_no_worse), max(1, math.ceil(needed))


def _until(metric: Metric, tests: events.Tests, threshold: float) -> int | None:
    """Further challenger exposure after which a component of either mixture alone decides."""
    n0, n1, k0, k1 = (float(part) for part in tests.seen)
    share = float(tests.share)
    if not (n0 and n1 and 0 < share < 1):
        return None
    champion = 1.0 if metric.kind == "pairs" else (1 - share) / share
    block = np.array([champion, 1.0, champion * k0 / n0, k1 / n1])
    worse, no_worse = events.growth(block, tests.share, tests.seen, metric)
    equal = np.full(len(worse), 1 / len(worse))
    found = min(
        _first(tests.worse, worse, equal, threshold),
        _first(tests.no_worse, no_worse, events.PRIOR, threshold),
    )
    return max(1, math.ceil(found)) if math.isfinite(found) else None


def _first(log: Floats, growth: Floats, prior: Floats, threshold: float) -> float:
    open_still = threshold - np.log(prior) - log
    grows = growth > 0
    times = np.where(grows, open_still / np.where(grows, growth, 1.0), np.inf)
    return float(times.min())
