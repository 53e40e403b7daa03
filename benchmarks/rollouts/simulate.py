"""Traces second by second; our rule looks at each, the others at what a minute adds up to."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
from numpy.typing import NDArray

from openautoglm.rollout.analysis import events
from openautoglm.rollout.analysis.evidence import threshold
from openautoglm.rollout.analysis.looks import Floats, Look, pooled, stacked
from rollouts.mannwhitney import seconds_test
from rollouts.scenarios import CHAMPION, METRICS, WITHIN, Scenario

MINUTE = 60
CHUNK = 1000


@dataclass(frozen=True)
class Traces:
    """Rollouts of one scenario; `m` minutes, `r` rollouts.

    Attributes:
        counts: n0, n1, k0, k1 of each metric in each minute, `[m, metrics, 4, r]`.
        mann_whitney: Standardised statistic of each minute, `[m, metrics, r]`.
        rolled: Second at which our rule rolls back, infinite if never, `[r]`.
        promoted: Second at which it promotes, infinite if never or rolled back before, `[r]`.
        bad: Challenger's events of the metric in question until our rule decides, `[r]`.
        timely: Whether that was within the exposure allowed for a detection, `[r]`.
        peak: Most log evidence for "worse" ever, promoted or not, 0 for what never was near to
            deciding, `[metrics, r]`. Only where nothing differs: elsewhere our rule stops
            looking once it has decided.
    """

    counts: Floats
    mann_whitney: Floats
    rolled: Floats
    promoted: Floats
    bad: Floats
    timely: NDArray[np.bool_]
    peak: Floats


def simulate(
    scenario: Scenario, n: int, *, seed: int, alpha: float, pool: Executor | None = None
) -> Traces:
    """`n` rollouts; equal for equal scenario, `n`, seed and alpha, whatever the pool."""
    sizes = [min(CHUNK, n - at) for at in range(0, n, CHUNK)]
    seeds = [[seed, at, *scenario.name.encode()] for at in range(len(sizes))]
    chunk = partial(_chunk, scenario, alpha)
    parts = list((pool.map if pool else map)(chunk, sizes, seeds))
    return Traces(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts], axis=-1)
            for field in fields(Traces)
        }
    )


def _chunk(scenario: Scenario, alpha: float, n: int, seed: list[int]) -> Traces:
    rng = np.random.default_rng(seed)
    ours = Sequential(scenario, n, alpha)
    counts, ranks = [], []
    for minute, looks in enumerate(_minutes(scenario, n, rng)):
        counts.append(looks.sum(0))
        ranks.append(np.stack([seconds_test(looks[:, of]) for of in range(len(METRICS))]))
        ours.minute(minute * MINUTE, looks)
    return Traces(
        counts=np.stack(counts),
        mann_whitney=np.stack(ranks).astype(np.float32),
        rolled=ours.rolled,
        promoted=ours.promoted,
        bad=ours.bad,
        timely=ours.timely,
        peak=ours.peak,
    )


def _minutes(scenario: Scenario, n: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Looks of each second of a minute, `[60, metrics, 4, n]`; labels come when the answer does."""
    for start in range(0, scenario.seconds, MINUTE):
        share = scenario.weight(start) / 100
        looks = np.empty((MINUTE, len(METRICS), 4, n))
        rates = zip(CHAMPION, scenario.challenger, strict=True)
        arms = [rng.poisson(scenario.traffic * part, (MINUTE, n)) for part in (1 - share, share)]
        for of, (metric, pair) in enumerate(zip(METRICS, rates, strict=True)):
            for arm, (requests, rate) in enumerate(zip(arms, pair, strict=True)):
                exposure = requests
                if metric.unit == "labels":
                    exposure = rng.binomial(requests, scenario.labelled)
                looks[:, of, arm] = exposure
                looks[:, of, 2 + arm] = rng.binomial(exposure, rate)
        yield looks


class Sequential:
    """Our rule: the package's own tests, looked at every second."""

    def __init__(self, scenario: Scenario, n: int, alpha: float) -> None:
        self.scenario = scenario
        self.alpha, self.limit = alpha, threshold(alpha, len(METRICS))
        self.rolled, self.promoted = np.full(n, np.inf), np.full(n, np.inf)
        self.bad, self.timely = np.zeros(n), np.zeros(n, bool)
        self.peak = np.zeros((len(METRICS), n))
        self._open = np.arange(n)
        self._tests = [events.start(n) for _ in METRICS]
        self._waiting = np.zeros((len(METRICS), 4, n))
        self._seen = np.zeros((len(METRICS), 4, n))

    def minute(self, start: int, looks: Floats) -> None:
        """Look at 60 seconds, `[60, metrics, 4, n]`, the first of them being `start`."""
        if self.scenario.differs is not None:
            self._forget_decided()
        for second, look in enumerate(looks[..., self._open], start=start):
            self._second(second, look)

    def _second(self, second: int, look: Floats) -> None:
        self._seen += look
        worse, fine = np.zeros((2, len(METRICS), len(self._open)))
        for of, metric in enumerate(METRICS):
            block, self._waiting[of] = pooled(self._waiting[of], stacked(Look(*look[of])))
            self._tests[of] = events.add(self._tests[of], block, metric)
            near = self._near(of)
            worse[of, near], fine[of, near] = events.log_evidence(_only(self._tests[of], near))
        self.peak[:, self._open] = np.maximum(self.peak[:, self._open], worse)
        undecided = np.isinf(self.rolled[self._open]) & np.isinf(self.promoted[self._open])
        back = undecided & (worse >= self.limit).any(0)
        on = undecided & ~back & (fine >= self.limit).all(0) & self.scenario.last_step(second)
        self.rolled[self._open[back]] = second + 1
        self.promoted[self._open[on]] = second + 1
        of = self.scenario.differs or 0
        self.bad[self._open[undecided]] = self._seen[of, 3, undecided]
        self.timely[self._open[back]] = in_time(self._seen[of], METRICS[of].unit)[back]

    def _near(self, of: int) -> NDArray[np.intp]:
        """Rollouts whose evidence may decide: a mixture is never more than its largest part."""
        tests, alone = self._tests[of], threshold(self.alpha, 1)
        largest = np.maximum(tests.worse.max(0), tests.no_worse.max(0))
        return np.flatnonzero(largest >= alone)

    def _forget_decided(self) -> None:
        undecided = np.isinf(self.rolled[self._open]) & np.isinf(self.promoted[self._open])
        keep = np.flatnonzero(undecided)
        self._open = self._open[keep]
        self._seen, self._waiting = self._seen[..., keep], self._waiting[..., keep]
        self._tests = [_only(tests, keep) for tests in self._tests]


def _only(tests: events.Tests, rollouts: NDArray[np.intp]) -> events.Tests:
    return events.Tests(
        **{part.name: getattr(tests, part.name)[..., rollouts] for part in fields(tests)}
    )


def in_time(seen: Floats, unit: str) -> NDArray[np.bool_]:
    """Whether exposures, `[4, ...]`, are within what a detection may take."""
    exposure = seen[1] if unit == "requests" else seen[0] + seen[1]
    return np.asarray(exposure <= WITHIN[unit])
