"""What is asked of a metric, and what has been answered so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from openautoglm.errors import ConfigError
from openautoglm.rollout.verdict import Verdict

Kind = Literal["events", "pairs", "mean", "agreement"]
Unit = Literal["requests", "labels"]


@dataclass(frozen=True)
class Metric:
    """One thing that champion and challenger are compared in.

    Attributes:
        name: As in the configuration and the report.
        kind: `events` are counted in two arms that get different requests; `pairs` are events
            of both arms on the same requests (shadow); `mean` is a value in [0, 1] where more is
            better (confidence); `agreement` is the share of requests on which the challenger
            answers as the champion (shadow).
        unit: What an exposure counts.
        tolerance: How much worse is still good: more than that is rolled back. For `events` and
            `pairs` a difference of rates, for `mean` a fall of the mean, for `agreement` a share
            of requests answered differently.
        margin: What promotion must have excluded, in the same terms; more than `tolerance`.
    """

    name: str
    kind: Kind
    unit: Unit
    tolerance: float
    margin: float

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < self.margin < 1:
            raise ConfigError(
                f"{self.name}: tolerance {self.tolerance} and margin {self.margin}",
                allowed="0 <= tolerance < margin < 1",
            )


ERRORS = Metric("errors", "events", "requests", tolerance=0.0, margin=0.005)
SLOW = Metric("slow", "events", "requests", tolerance=0.0, margin=0.02)
WRONG = Metric("wrong", "events", "labels", tolerance=0.0, margin=0.025)


@dataclass(frozen=True)
class Evidence:
    """Where the comparison of one metric stands.

    Attributes:
        metric: Its name.
        verdict: `worse` (roll back), `no_worse` (may be promoted), or not decided yet.
        unit: What `n0` and `n1` count.
        n0: The champion's exposure; 0 for agreement, which has one arm.
        n1: The challenger's.
        value0: The champion's rate or mean; None without exposure.
        value1: The challenger's.
        difference: Challenger minus champion.
        low: Lower end of what the difference can be: at no look is the difference below it, except
            with chance alpha.
        high: Upper end, likewise.
        log_worse: Logarithm of the evidence against "worse by no more than tolerance".
        log_no_worse: Logarithm of the evidence against "worse by margin or more".
        threshold: Where either decides, `log(1 / alpha)`.
        needed: Further exposure of the challenger that decides if the rates stay as they are; 0
            when it is decided, None when nothing can be said.
        method: Which test it is, and its paper.
    """

    metric: str
    verdict: Verdict
    unit: Unit
    n0: int
    n1: int
    value0: float | None
    value1: float | None
    difference: float | None
    low: float
    high: float
    log_worse: float
    log_no_worse: float
    threshold: float
    needed: int | None
    method: str


def judged(log_worse: float, log_no_worse: float, threshold: float) -> Verdict:
    """The verdict; worse comes first."""
    if log_worse >= threshold:
        return Verdict.WORSE
    return Verdict.NO_WORSE if log_no_worse >= threshold else Verdict.UNDECIDED


def threshold(alpha: float, metrics: int) -> float:
    """Evidence that decides when alpha is divided over a number of metrics, a logarithm."""
    return math.log(metrics / alpha)
