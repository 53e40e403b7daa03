"""One claimed trial: run, judged at each report, and written down."""

from __future__ import annotations

import math

from optuna.exceptions import UpdateFinishedTrialError

from openautoglm.observability.progress import say
from openautoglm.tuning.pruning import MedianRule, TrialPruned
from openautoglm.tuning.queue import Claim, Queue
from openautoglm.tuning.space import Space
from openautoglm.tuning.trials import Objective, Plan


def attempt(queue: Queue, claim: Claim, objective: Objective, space: Space, plan: Plan) -> None:
    """Run a trial and write its end; an exception of the objective leaves it running.

    Raises:
        ValueError: The objective gives another number of values than the plan has directions.
    """
    earlier = queue.trials(claim.round)
    name = f"trial {len(earlier) + claim.place} (round {claim.round}): {claim.point}"
    branch = claim.point.branch
    rule = MedianRule(space, branch, earlier, plan.directions[0]) if plan.prune else None
    reports: dict[int, float] = {}

    def report(step: int, value: float) -> None:
        reports[step] = float(value)
        queue.report(claim, step, reports[step])
        if rule and rule.stops(reports):
            median = rule.median(step)
            raise TrialPruned(
                f"pruned at step {step} with {value:.4g}, the median was {median:.4g}"
            )

    try:
        with queue.alive(claim):
            values = tuple(map(float, objective(claim.point, report)))
        if len(values) != len(plan.directions):
            raise ValueError(f"{len(values)} values for {len(plan.directions)} directions")
        pairs = zip(plan.labels, values, strict=True)
        told = ", ".join(f"{label} {_short(value)}" for label, value in pairs)
        if all(map(math.isfinite, values)):
            queue.complete(claim, values)
        else:
            queue.reject(claim, told)
            told = f"failed with {told}"
    except TrialPruned as pruned:
        queue.prune(claim)
        told = str(pruned)
    except UpdateFinishedTrialError:
        told = "given up: another worker took this trial over"
    say(f"{name}: {told}")


def _short(value: float) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.4g}"
