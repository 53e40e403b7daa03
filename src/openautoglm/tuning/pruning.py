"""Whether a trial is worth its next step, judged against earlier rounds alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna import TrialPruned
from optuna.trial import TrialState

from openautoglm.tuning.space import Space
from openautoglm.tuning.studies import branch_study
from openautoglm.tuning.trials import Direction, Trial

__all__ = ["FEWEST", "MedianRule", "TrialPruned"]

FEWEST = 3
"""Complete trials of a branch from which on there is a median to speak of."""


class MedianRule:
    """The median rule (Golovin et al., Google Vizier, KDD 2017) within one branch.

    A trial is stopped when its best report so far is worse than the median of what the
    complete trials of earlier rounds reported at its step.
    """

    def __init__(
        self, space: Space, branch: str, earlier: Sequence[Trial], direction: Direction
    ) -> None:
        self._pruner = optuna.pruners.MedianPruner(n_startup_trials=FEWEST)
        self._study = branch_study(space, branch, earlier, [direction])

    def stops(self, reports: dict[int, float]) -> bool:
        """Whether to stop after the last of these reports."""
        mirror = optuna.trial.create_trial(state=TrialState.RUNNING, intermediate_values=reports)
        return bool(self._pruner.prune(self._study, mirror))

    def median(self, step: int) -> float:
        """Median at a step of the complete trials that reported there."""
        complete: Any = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [t.intermediate_values[step] for t in complete if step in t.intermediate_values]
        return float(np.nanmedian(known)) if known else float("nan")
