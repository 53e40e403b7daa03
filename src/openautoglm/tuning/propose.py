"""The points of a round: a function of the seed and of the earlier rounds' trials.

TPE (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011), one study a
branch. Points of one round are asked for one after the other; those that have no value yet
count as bad ones (constant liar), which keeps a round apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.samplers import TPESampler

from openautoglm.tuning.space import Point, Space
from openautoglm.tuning.studies import branch_study, distribution, point_of, quiet
from openautoglm.tuning.trials import Plan, Trial

RANDOM = 4
"""Trials of a branch before TPE takes over from random points: searches here are short."""
_ASKED = 16
_LISTED = 10_000


def propose(space: Space, plan: Plan, round_: int, earlier: Sequence[Trial]) -> list[Point]:
    """The new points of a round.

    Branches take turns, so that each gets its share however the others do.

    Args:
        space: Where they lie.
        plan: Seed, trials a round, directions.
        round_: From 1.
        earlier: Every trial of the rounds before.

    Returns:
        At most `plan.trials` points, none of which was tried before; fewer when the space has
        no more.
    """
    seen = {trial.point for trial in earlier}
    samplers = {
        branch: _Sampler(space, branch, plan, round_, index, earlier)
        for index, branch in enumerate(space.branches)
    }
    first = (round_ - 1) * plan.trials
    points: list[Point] = []
    while samplers and len(points) < plan.trials:
        names = list(space.branches)
        turn = (first + len(points)) % len(names)
        for branch in (*names[turn:], *names[:turn]):
            if branch not in samplers:
                continue
            point = samplers[branch].new(seen)
            if point is None:
                del samplers[branch]
                continue
            seen.add(point)
            points.append(point)
            break
    return points


class _Sampler:
    """TPE in one branch for one round."""

    def __init__(
        self,
        space: Space,
        branch: str,
        plan: Plan,
        round_: int,
        index: int,
        earlier: Sequence[Trial],
    ) -> None:
        self._space, self._branch = space, branch
        seeds = np.random.SeedSequence([plan.seed, round_, index])
        self._rng = np.random.default_rng(seeds)
        with quiet():
            sampler = TPESampler(
                seed=int(seeds.generate_state(1)[0]), n_startup_trials=RANDOM, constant_liar=True
            )
        self._study = branch_study(space, branch, earlier, plan.directions, sampler)

    def new(self, seen: set[Point]) -> Point | None:
        """A point that was not seen; None when there is none."""
        dimensions = self._space.branches[self._branch]
        for _ in range(_ASKED if dimensions else 0):
            with quiet():
                asked = self._study.ask({d.name: distribution(d) for d in dimensions})
            point = point_of(self._branch, dimensions, asked.params)
            if point not in seen:
                return point
        if not 0 < self._space.size(self._branch) <= _LISTED:
            return None
        left = [point for point in self._space.all(self._branch) if point not in seen]
        return left[self._rng.integers(len(left))] if left else None
