"""All metrics of a rollout together: looks go in, evidence comes out, the state can be kept.

One alpha is divided equally over the metrics, so the chance that a challenger which is worse in
none is ever rolled back is at most alpha. In each metric, the chance that one which is worse by
its margin ever passes is at most the metric's part.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openautoglm.errors import ConfigError, DataError
from openautoglm.rollout.analysis import events, intervals
from openautoglm.rollout.analysis.evidence import Evidence, Metric, threshold
from openautoglm.rollout.analysis.looks import Floats, Look, Values, pooled, stacked
from openautoglm.rollout.analysis.report import evidence

ALPHA = 0.01


@dataclass(frozen=True)
class Course:
    """What one metric has come to.

    Attributes:
        waiting: Exposure too small to judge yet, `[4 or 6]`.
        tests: Of counted events and of pairs; None of means and of agreement.
        interval: Confidence sequence of the difference, or of the one mean.
    """

    waiting: Floats
    tests: events.Tests | None
    interval: intervals.Interval


class Comparison:
    """Challenger against champion in some metrics.

    Args:
        metrics: What is compared; names are unique.
        alpha: Chance of ever rolling back a challenger that is worse in none of them.
        state: What `state()` gave, to go on exactly from there.

    Raises:
        ConfigError: Two metrics have one name, or the state is one of other metrics.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        *,
        alpha: float = ALPHA,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.metrics = {metric.name: metric for metric in metrics}
        if len(self.metrics) < len(metrics):
            raise ConfigError("two metrics have the same name", where=str([*self.metrics]))
        if state is not None and set(state) != set(self.metrics):
            raise ConfigError(
                f"the evidence is of {', '.join(state)}", allowed=", ".join(self.metrics)
            )
        self.threshold = threshold(alpha, len(metrics)) if metrics else math.inf
        self._courses = {
            name: _begun(metric) if state is None else _restored(state[name])
            for name, metric in self.metrics.items()
        }

    def add(self, name: str, look: Look | Values) -> None:
        """Take in one look: `Values` for a mean, `Look` for any other kind.

        For pairs, `n0` and `n1` are both the number of requests that both arms answered, `k0` the
        events of the champion alone and `k1` those of the challenger alone. For agreement, `n0`
        and `k0` are 0 and `k1` is the number of requests answered differently.

        Raises:
            DataError: These cannot be counts: negative, no numbers, or more events than exposure.
        """
        metric, course = self.metrics[name], self._courses[name]
        new = stacked(look)
        if len(new) != len(course.waiting) or not _possible(new, metric):
            raise DataError(f"{name}: not possible as a look: {look}", where="telemetry")
        block, waiting = pooled(course.waiting, new)
        self._courses[name] = self._judged(metric, course, block, waiting)

    def cut(self) -> None:
        """Judge what waits as it is: call it when the weights change, before the next look."""
        for name, course in self._courses.items():
            rest = np.zeros_like(course.waiting)
            self._courses[name] = self._judged(self.metrics[name], course, course.waiting, rest)

    def evidence(self) -> list[Evidence]:
        """Where each metric stands, in the order they were given."""
        return [
            evidence(
                metric, self._courses[name].tests, self._courses[name].interval, self.threshold
            )
            for name, metric in self.metrics.items()
        ]

    def state(self) -> dict[str, Any]:
        """Everything, as numbers, lists and dictionaries that JSON keeps exactly."""
        return {name: _kept(course) for name, course in self._courses.items()}

    def _judged(self, metric: Metric, course: Course, block: Floats, waiting: Floats) -> Course:
        tests = course.tests
        return Course(
            waiting=waiting,
            tests=None if tests is None else events.add(tests, block, metric),
            interval=intervals.add(
                course.interval,
                _moments(block, metric),
                log_threshold=self.threshold,
                width=metric.margin - metric.tolerance,
            ),
        )


def _begun(metric: Metric) -> Course:
    counted = metric.kind in ("events", "pairs")
    return Course(
        waiting=np.zeros(6 if metric.kind == "mean" else 4),
        tests=events.start() if counted else None,
        interval=intervals.start(2 if metric.kind in ("events", "mean") else 1),
    )


def _moments(block: Floats, metric: Metric) -> Floats:
    """Exposure, sum and sum of squares by arm, `[3, arms]`, of values in [0, 1]."""
    if metric.kind == "mean":
        return block.reshape(3, 2)
    if metric.kind == "events":
        return np.stack([block[:2], block[2:], block[2:]])
    n, k0, k1 = block[1], block[2], block[3]
    if metric.kind == "agreement":
        return np.array([[n], [k1], [k1]])
    # A difference of -1, 0 or 1 as a value of 0, 1/2 or 1.
    return np.array([[n], [n / 2 + (k1 - k0) / 2], [n / 4 + k1 * 0.75 - k0 * 0.25]])


def _possible(new: Floats, metric: Metric) -> bool:
    if not (np.isfinite(new).all() and (new >= 0).all() and (new[2:4] <= new[:2]).all()):
        return False
    if metric.kind == "pairs":
        return bool(new[0] == new[1] and new[2] + new[3] <= new[0])
    if metric.kind == "mean":
        n, total, squares = new.reshape(3, 2)
        rounded = 1 + 1e-9
        return bool(
            (squares <= total * rounded).all() and (total**2 <= n * squares * rounded).all()
        )
    return True


def _kept(course: Course) -> dict[str, Any]:
    return dataclasses.asdict(
        course,
        dict_factory=lambda pairs: {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in pairs
        },
    )


def _restored(kept: Mapping[str, Any]) -> Course:
    def arrays(values: Mapping[str, Any]) -> dict[str, Floats]:
        return {name: np.asarray(value, float) for name, value in values.items()}

    tests = kept["tests"]
    return Course(
        waiting=np.asarray(kept["waiting"], float),
        tests=None if tests is None else events.Tests(**arrays(tests)),
        interval=intervals.Interval(**arrays(kept["interval"])),
    )
