"""The rules that others use, on the same traces; each looks once a minute.

A rule gives the minute (counted from 1) after which it rolls back and after which it promotes,
`[r]` each, infinite if never. None of them waits for data: what has none passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openautoglm.rollout.analysis.looks import Floats
from rollouts.scenarios import CHAMPION, Scenario
from rollouts.simulate import MINUTE, Traces

FAILED_IN_A_ROW = 5
CONFIDENCE = 2.326  # Kayenta classifies at 98 %, two-sided

Decisions = tuple[Floats, Floats]


def threshold_rule(scenario: Scenario, traces: Traces) -> Decisions:
    """Five failed one-minute checks in a row.

    A check fails when more than 1 % of the challenger's answers are errors, as documented, or half
    as many again as usual are slow. Labels are no metric of a mesh.
    """
    _, n1, _, k1 = np.moveaxis(traces.counts[:, :2], 2, 0)
    limits = np.array([[CHAMPION.errors], [1.5 * CHAMPION.slow]])
    failed = (k1 > limits * n1).any(1)
    row = np.zeros(failed.shape[1])
    back = np.zeros_like(failed)
    for minute, now in enumerate(failed):
        row = np.where(now, row + 1, 0)
        back[minute] = row >= FAILED_IN_A_ROW
    return _first(back), _first(~failed & _at_the_end(scenario, failed))


def mann_whitney(scenario: Scenario, traces: Traces) -> Decisions:
    """Any metric classified as high in any minute (the judge of Kayenta)."""
    high = (traces.mann_whitney > CONFIDENCE).any(1)
    return _first(high), _first(~high & _at_the_end(scenario, high))


def t_test(scenario: Scenario, traces: Traces, critical: float) -> Decisions:
    """A t-test of all that was seen so far exceeds a critical value; promotes at the deadline."""
    back = statistics(traces).max(1) > critical
    last = np.full(back.shape[1], float(len(back)))
    return _first(back), last


def statistics(traces: Traces) -> Floats:
    """Welch's t of each metric after each minute, over all minutes so far, `[m, metrics, r]`."""
    n0, n1, k0, k1 = np.moveaxis(traces.counts.cumsum(0), 2, 0)
    p0, p1 = k0 / np.maximum(n0, 1), k1 / np.maximum(n1, 1)
    spread = p0 * (1 - p0) / np.maximum(n0, 1) + p1 * (1 - p1) / np.maximum(n1, 1)
    there = (spread > 0) & (n0 > 0) & (n1 > 0)
    return np.asarray(np.where(there, (p1 - p0) / np.sqrt(np.where(there, spread, 1)), 0.0))


def calibrated(traces: Traces, alpha: float) -> float:
    """The critical value that a share alpha of rollouts without a difference ever exceeds."""
    return float(np.quantile(statistics(traces).max((0, 1)), 1 - alpha))


def _at_the_end(scenario: Scenario, like: NDArray[np.bool_]) -> NDArray[np.bool_]:
    minutes = len(like)
    ends = [scenario.ended((minute + 1) * MINUTE) for minute in range(minutes)]
    return np.broadcast_to(np.asarray(ends)[:, None], like.shape)


def _first(when: NDArray[np.bool_]) -> Floats:
    return np.where(when.any(0), when.argmax(0) + 1.0, np.inf)
