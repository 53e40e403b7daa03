"""What is simulated: the two models, the traffic and how its weights change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from openautoglm.rollout.analysis.evidence import ERRORS, SLOW, WRONG

METRICS = (ERRORS, SLOW, WRONG)

# Percent for the challenger and for how many seconds; the last one stays. The documented example
# of Flagger goes from 10 to 50 in steps of 10, a minute each, and waits while checks fail; here
# everybody waits five minutes at 10, so that all rules see the same traces.
STEPS = ((10, 300), (20, 60), (30, 60), (40, 60), (50, 60))
CANARY = ((10, 600),)


class Rates(NamedTuple):
    """Chances of an event, in the order of `METRICS`.

    Slow is a latency beyond the champion's 95th percentile: 5 % of its own. When all latencies
    beyond the 90th are doubled, those between the 90th and the 95th become slow as well, as long
    as twice the 90th percentile is more than the 95th: 10 %.
    """

    errors: float = 0.01
    slow: float = 0.05
    wrong: float = 0.10


CHAMPION = Rates()


@dataclass(frozen=True)
class Scenario:
    """One row of the result.

    Attributes:
        name: As in the result.
        challenger: Its rates; the champion has the defaults.
        differs: Index of the metric in which the challenger is worse; None when in none.
        seconds: How long a rollout may last, whole minutes.
        traffic: Requests a second, Poisson.
        labelled: Share of requests that get a label.
        steps: Weights.
    """

    name: str
    challenger: Rates = CHAMPION
    differs: int | None = None
    seconds: int = 1200
    traffic: float = 50.0
    labelled: float = 0.2
    steps: tuple[tuple[int, int], ...] = STEPS

    def weight(self, second: int) -> int:
        """Percent of the requests that the challenger gets."""
        for weight, lasts in self.steps:
            if second < lasts:
                return weight
            second -= lasts
        return self.steps[-1][0]

    def ended(self, second: int) -> bool:
        """Whether the last step has lasted as long as it should."""
        return second >= sum(lasts for _, lasts in self.steps)

    def last_step(self, second: int) -> bool:
        """Whether the weights have come to their last."""
        return second >= sum(lasts for _, lasts in self.steps[:-1])


LONG = 4080  # 40,000 labels
SAME = Scenario("no difference", seconds=LONG)
WITHIN = {"requests": 20_000, "labels": 40_000}
"""Exposure within which a difference has to be found: challenger requests, labels of both arms."""

SCENARIOS = (
    SAME,
    Scenario("errors 1 % -> 2 %", Rates(errors=0.02), 0),
    Scenario("errors 1 % -> 5 %", Rates(errors=0.05), 0),
    Scenario("errors 1 % -> 20 %", Rates(errors=0.20), 0),
    Scenario("latency tail doubled", Rates(slow=0.10), 1),
    Scenario("accuracy 0.90 -> 0.88", Rates(wrong=0.12), 2, seconds=LONG),
    Scenario("accuracy 0.90 -> 0.85", Rates(wrong=0.15), 2, seconds=LONG),
    replace(SAME, name="no traffic", seconds=900, traffic=0.0),
    replace(SAME, name="labels never come", seconds=1200, labelled=0.0),
    Scenario("errors 1 % -> 5 %, 10 % canary", Rates(errors=0.05), 0, steps=CANARY),
)
