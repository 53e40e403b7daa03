"""Between points of a space and Optuna's parameters, distributions and studies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from openautoglm.tuning.space import Dimension, Point, Space, Value, label
from openautoglm.tuning.trials import Direction, State, Trial

STATES: Mapping[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's own lines and its notes about experimental features away, meanwhile."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def distribution(dimension: Dimension, reaching: Value = None) -> BaseDistribution:
    """A dimension for Optuna, widened where a value lies out of its range."""
    if dimension.choices:
        return CategoricalDistribution([label(choice) for choice in dimension.choices])
    low, high = dimension.range
    if isinstance(reaching, int | float):
        low, high = min(low, reaching), max(high, reaching)
    if dimension.whole:
        return IntDistribution(int(low), int(high), log=dimension.log)
    return FloatDistribution(low, high, log=dimension.log)


def parameters(
    space: Space, point: Point, branches: Sequence[str]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """A point as parameters and distributions, for people who look at the study.

    Args:
        space: Its space.
        point: Values that a dimension cannot express at all are left out.
        branches: All that the search has; the branch is a parameter too.
    """
    params: dict[str, Any] = {space.name: point.branch}
    distributions = {space.name: CategoricalDistribution(list(branches))}
    for dimension in space.branches.get(point.branch, ()):
        value = point.values.get(dimension.name)
        if dimension.fits(value):
            title = space.title(point.branch, dimension.name)
            params[title] = label(value) if dimension.choices else value
            distributions[title] = distribution(dimension, value)
    return params, distributions


def point_of(branch: str, dimensions: Sequence[Dimension], params: Mapping[str, Any]) -> Point:
    """The point of a branch that Optuna's parameters stand for."""
    values = {}
    for dimension in dimensions:
        value = params[dimension.name]
        labels = {label(choice): choice for choice in dimension.choices}
        values[dimension.name] = labels[value] if labels else value
    return Point(branch, values)


def branch_study(
    space: Space,
    branch: str,
    trials: Sequence[Trial],
    directions: Sequence[Direction],
    sampler: Any = None,
) -> optuna.Study:
    """A study in memory of one branch's trials, in number order.

    A number out of its range is told as the nearest one in it, so that a start beyond the
    space still says which of its edges is good. Values that cannot be told are left out.

    Args:
        space: The space.
        branch: Only its trials are taken, and of these none that failed.
        trials: Finished ones.
        directions: One a value.
        sampler: Optuna's default when None.
    """
    with quiet():
        study = optuna.create_study(directions=list(directions), sampler=sampler)
        for trial in sorted(trials, key=lambda trial: trial.number):
            if trial.point.branch == branch and trial.state != "failed":
                study.add_trial(_frozen(space.branches.get(branch, ()), trial))
    return study


def _frozen(dimensions: Sequence[Dimension], trial: Trial) -> Any:
    params: dict[str, Any] = {}
    distributions = {}
    for dimension in dimensions:
        value = trial.point.values.get(dimension.name)
        if dimension.fits(value):
            params[dimension.name] = label(value) if dimension.choices else _near(dimension, value)
            distributions[dimension.name] = distribution(dimension)
    return optuna.trial.create_trial(
        state=STATES[trial.state],
        values=trial.values or None,
        params=params,
        distributions=distributions,
        intermediate_values=dict(trial.reports),
    )


def _near(dimension: Dimension, value: Any) -> Any:
    low, high = dimension.range
    return min(max(value, low), high)
