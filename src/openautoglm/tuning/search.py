"""A search in rounds whose outcome neither the number of workers nor kills can change.

The points of a round and its prunings are a function of the seed and of the finished trials of
earlier rounds. Within a round trials know nothing of each other, so it does not matter who runs
them, in which order, or how often one was begun. Nothing is stopped by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from openautoglm.errors import StepError
from openautoglm.tuning.attempt import attempt
from openautoglm.tuning.crew import Crew, Work, crew
from openautoglm.tuning.propose import propose
from openautoglm.tuning.queue import Queue, opened_queue
from openautoglm.tuning.space import Point, Space
from openautoglm.tuning.storage import Storage
from openautoglm.tuning.trials import Objective, Plan, Trial

_POLL = 0.2  # seconds between two looks at what others run


def search(
    objective: Objective,
    space: Space,
    plan: Plan,
    storage: Storage,
    *,
    workers: int = 1,
    step: str = "tune",
    after_round: Callable[[list[Trial]], None] | None = None,
) -> list[Trial]:
    """Run a search, or what is left of it: a trial that is finished is never run again.

    Args:
        objective: Runs one point; picklable when there are several workers.
        space: Where points lie.
        plan: Seed, rounds, starts.
        storage: Where trials are kept; callers on several machines may share it.
        workers: Processes that run trials, this one among them.
        step: The step that the workers' progress lines belong to.
        after_round: Called after each round with all trials so far, in a resumed search for
            the rounds that were finished before, too.

    Returns:
        All trials, in the order of round and place.

    Raises:
        InputError: The study holds another search.
        StepError: No trial has a finite value.
        Exception: What the objective raised, here or in a worker; its trial is run again by
            the next call.
    """
    trials: list[Trial] = []
    work = Work(objective, space, plan, storage, step)
    with opened_queue(storage, space, plan) as queue, crew(work, workers - 1) as others:
        for round_ in range(plan.rounds + 1):
            points = propose(space, plan, round_, trials) if round_ else plan.starts
            _finish(queue, round_, points, work, others)
            trials = queue.trials(round_ + 1)
            if after_round:
                after_round(trials)
    if not any(trial.state == "complete" for trial in trials):
        raise StepError(
            f"none of {len(trials)} trials has a finite value",
            hint="look at the trials' settings: the starts are where the search begins",
        )
    return trials


def _finish(queue: Queue, round_: int, points: Sequence[Point], work: Work, others: Crew) -> None:
    """Work, with the others, until every point of the round is finished."""
    queue.release()
    while unfinished := queue.fill(round_, points):
        if unfinished > 1:
            others.start()
        claim = queue.claim()
        if claim is None:
            others.listen(_POLL)
        else:
            try:
                attempt(queue, claim, work.objective, work.space, work.plan)
            except BaseException:
                queue.abandon(claim)
                raise
            others.listen()
        queue.release()
