"""What a search is told and what it finds: plan, trials, the best of them, the Pareto set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from openautoglm.errors import StepError
from openautoglm.tuning.space import Point

Direction = Literal["maximize", "minimize"]
State = Literal["complete", "pruned", "failed"]
Report = Callable[[int, float], None]
"""Tells step and value; raises inside when the trial is to be pruned."""
Objective = Callable[[Point, Report], tuple[float, ...]]


@dataclass(frozen=True)
class Plan:
    """How a search goes.

    Attributes:
        seed: Seed of the sampler.
        rounds: Rounds after the one of the starts.
        trials: New points a round; fewer when the space has no more.
        directions: One a value of the objective.
        labels: What the values are called in progress lines.
        starts: Round 0, whether they lie in the space or not.
        prune: Stop trials below the median of earlier rounds.

    Raises:
        ValueError: There is nothing to do, or several values with pruning.
    """

    seed: int
    rounds: int
    trials: int
    directions: tuple[Direction, ...]
    labels: tuple[str, ...]
    starts: tuple[Point, ...]
    prune: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0 or self.rounds < 0 or self.trials < 1 or not self.directions:
            raise ValueError("a search needs a seed, rounds, trials and directions")
        if len(self.labels) != len(self.directions):
            raise ValueError(f"{len(self.labels)} labels for {len(self.directions)} directions")
        if self.prune and len(self.directions) > 1:
            raise ValueError("only a search for one value can prune")


@dataclass(frozen=True)
class Trial:
    """One finished trial.

    Attributes:
        number: From 0, in the order of round and place.
        round: 0 for the starts.
        place: From 0, within the round.
        point: What was tried.
        state: `failed` is a value that is not finite.
        values: The objective's; empty unless complete.
        reports: (step, value), by step.
    """

    number: int
    round: int
    place: int
    point: Point
    state: State
    values: tuple[float, ...]
    reports: tuple[tuple[int, float], ...]


def best(
    trials: Sequence[Trial], direction: Direction = "maximize", branch: str | None = None
) -> Trial:
    """The trial with the best first value; of equal ones the lowest number.

    Raises:
        StepError: No trial (of the branch) is complete.
    """
    found = [
        trial
        for trial in trials
        if trial.state == "complete" and branch in (None, trial.point.branch)
    ]
    if not found:
        raise StepError(f"no trial{f' of {branch}' if branch else ''} is complete")
    sign = -1 if direction == "maximize" else 1
    return min(found, key=lambda trial: (sign * trial.values[0], trial.number))


def pareto(trials: Sequence[Trial], directions: Sequence[Direction]) -> list[Trial]:
    """Complete trials that no other dominates, by number; of equal ones the lowest number."""
    signs = [-1 if direction == "maximize" else 1 for direction in directions]
    costs: dict[tuple[float, ...], Trial] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state == "complete":
            cost = tuple(s * value for s, value in zip(signs, trial.values, strict=True))
            costs.setdefault(cost, trial)
    return [
        trial
        for cost, trial in costs.items()
        if not any(other != cost and _no_worse(other, cost) for other in costs)
    ]


def _no_worse(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))
