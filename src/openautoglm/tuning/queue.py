"""The trials of one study in its database: which wait, which run, which are finished.

A place of a round may have several trials: each that was killed stays as failed, and another
one takes its place. The lowest-numbered finished one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from openautoglm.errors import InputError
from openautoglm.tuning.heartbeat import beating
from openautoglm.tuning.owner import is_gone, myself
from openautoglm.tuning.records import (
    FAILED,
    OWNER,
    PLACE,
    POINT,
    ROUND,
    finished,
    owners_of,
    point_of,
    told,
    trial_of,
)
from openautoglm.tuning.space import Point, Space
from openautoglm.tuning.storage import Storage, opened
from openautoglm.tuning.studies import parameters, quiet
from openautoglm.tuning.trials import Plan, Trial

_SEARCH = "search"


@dataclass(frozen=True)
class Claim:
    """A trial that this process has taken.

    Attributes:
        id: Optuna's id.
        round: Its round.
        place: Its place in the round.
        point: What to try.
    """

    id: int
    round: int
    place: int
    point: Point


class Queue:
    """Trials of one study; see `opened_queue`."""

    def __init__(self, rdb: RDBStorage, study: optuna.Study, space: Space, plan: Plan) -> None:
        self._rdb, self._study = rdb, study
        self._space = space
        self._branches = list(dict.fromkeys([*space.branches, *(p.branch for p in plan.starts)]))

    def fill(self, round_: int, points: Sequence[Point]) -> int:
        """Queue each point of a round that is neither finished nor queued nor at work.

        Returns:
            How many points are not finished.
        """
        slots = self._slots()
        unfinished = 0
        for place, point in enumerate(points):
            records = slots.get((round_, place), [])
            if any(finished(record) for record in records):
                continue
            unfinished += 1
            if all(record.state.is_finished() for record in records):
                self._put(round_, place, point_of(records[0]) if records else point)
        return unfinished

    def release(self) -> None:
        """Fail the trials whose process is gone: here at once, elsewhere after the grace."""
        with quiet():
            optuna.storages.fail_stale_trials(self._study)
        for trial in self._trials():
            owners = owners_of(trial)
            if trial.state == TrialState.RUNNING and owners and all(map(is_gone, owners)):
                self._fail(trial._trial_id)

    def claim(self) -> Claim | None:
        """Take the first waiting trial by round and place; None when there is none."""
        for (round_, place), records in sorted(self._slots().items()):
            waiting = [r for r in records if r.state == TrialState.WAITING]
            taken = any(finished(r) or r.state == TrialState.RUNNING for r in records)
            if waiting and not taken and self._take(waiting[0]._trial_id):
                return Claim(waiting[0]._trial_id, round_, place, point_of(waiting[0]))
        return None

    def report(self, claim: Claim, step: int, value: float) -> None:
        """Keep what a trial reported."""
        self._rdb.set_trial_intermediate_value(claim.id, step, value)

    def complete(self, claim: Claim, values: Sequence[float]) -> None:
        """Finish a trial with its values."""
        self._rdb.set_trial_state_values(claim.id, TrialState.COMPLETE, values)

    def prune(self, claim: Claim) -> None:
        """Finish a trial that was stopped."""
        self._rdb.set_trial_state_values(claim.id, TrialState.PRUNED)

    def reject(self, claim: Claim, why: str) -> None:
        """Finish a trial as one that failed for good."""
        self._rdb.set_trial_user_attr(claim.id, FAILED, why)
        self._rdb.set_trial_state_values(claim.id, TrialState.FAIL)

    def abandon(self, claim: Claim) -> None:
        """Leave a trial failed, to be tried again by a later search."""
        self._fail(claim.id)

    def alive(self, claim: Claim) -> AbstractContextManager[None]:
        """Give signs of life of a trial meanwhile."""
        return beating(self._rdb, claim.id)

    def trials(self, rounds: int) -> list[Trial]:
        """The finished trials of the first rounds, in the order of round and place."""
        found: list[Trial] = []
        for (round_, place), records in sorted(self._slots().items()):
            done = next((record for record in records if finished(record)), None)
            if round_ < rounds and done is not None:
                found.append(trial_of(len(found), round_, place, done))
        return found

    def _put(self, round_: int, place: int, point: Point) -> None:
        params, distributions = parameters(self._space, point, self._branches)
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.WAITING,
                params=params,
                distributions=distributions,
                user_attrs={ROUND: round_, PLACE: place, POINT: told(point)},
            )
        )

    def _take(self, trial: int) -> bool:
        me = OWNER + myself()
        try:
            # Before the claim, so that no running trial is without a sign of life or a name.
            self._rdb.record_heartbeat(trial)
            self._rdb.set_trial_user_attr(trial, me, True)
            if self._rdb.set_trial_state_values(trial, TrialState.RUNNING):
                return True
            self._rdb.set_trial_user_attr(trial, me, False)
        except UpdateFinishedTrialError:  # another worker was that fast
            pass
        return False

    def _fail(self, trial: int) -> None:
        with suppress(UpdateFinishedTrialError):
            self._rdb.set_trial_state_values(trial, TrialState.FAIL)

    def _trials(self) -> list[Any]:
        found: list[Any] = self._rdb.get_all_trials(self._study._study_id, deepcopy=False)
        return found

    def _slots(self) -> dict[tuple[int, int], list[Any]]:
        slots: dict[tuple[int, int], list[Any]] = {}
        for trial in self._trials():
            if ROUND in trial.user_attrs:  # a dashboard can add trials of its own
                place = trial.user_attrs[ROUND], trial.user_attrs[PLACE]
                slots.setdefault(place, []).append(trial)
        return slots


@contextmanager
def opened_queue(storage: Storage, space: Space, plan: Plan) -> Iterator[Queue]:
    """The queue of a search.

    Raises:
        InputError: The study holds another search.
        StoreError: The database cannot be used.
    """
    with opened(storage) as rdb:
        with quiet():
            study = optuna.create_study(
                study_name=storage.name,
                storage=rdb,
                directions=list(plan.directions),
                load_if_exists=True,
            )
        identity = _identity(space, plan)
        if _SEARCH not in study.user_attrs and not study.get_trials(deepcopy=False):
            study.set_user_attr(_SEARCH, identity)
        if study.user_attrs.get(_SEARCH) != identity:
            raise InputError(
                "the study holds the trials of another search",
                where=str(storage),
                hint="give this search another name, or another database",
            )
        yield Queue(rdb, study, space, plan)


def _identity(space: Space, plan: Plan) -> str:
    """What makes a search another one; more rounds only go on with it."""
    return repr((space, plan.seed, plan.trials, plan.directions, plan.starts, plan.prune))
