"""What a queue keeps with each of Optuna's trials, and how it is read back.

Points are kept as JSON beside Optuna's parameters: those cannot hold a tuple, nor a start that
lacks a dimension, and the numbers come back bit by bit.
"""

from __future__ import annotations

import json
from typing import Any

from optuna.trial import TrialState

from openautoglm.tuning.space import Point
from openautoglm.tuning.studies import STATES
from openautoglm.tuning.trials import Trial

ROUND, PLACE, POINT = "round", "place", "point"
FAILED = "failed"
"""Marks a trial that failed for good, with the values that are not finite."""
OWNER = "worker "
"""Begins the key of each process that reached for the trial; false where another one got it."""


def told(point: Point) -> str:
    """A point as text."""
    return json.dumps({"branch": point.branch, "values": point.values})


def point_of(record: Any) -> Point:
    """The point of one of Optuna's trials."""
    return Point(**json.loads(record.user_attrs[POINT]))


def owners_of(record: Any) -> list[str]:
    """The processes that may run a trial."""
    return [
        key.removeprefix(OWNER)
        for key, holds in record.user_attrs.items()
        if key.startswith(OWNER) and holds
    ]


def finished(record: Any) -> bool:
    """Whether a trial is never to be run again."""
    return record.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
        record.state == TrialState.FAIL and FAILED in record.user_attrs
    )


def trial_of(number: int, round_: int, place: int, record: Any) -> Trial:
    """A finished one of Optuna's trials as ours."""
    complete = record.state == TrialState.COMPLETE
    return Trial(
        number=number,
        round=round_,
        place=place,
        point=point_of(record),
        state=next(ours for ours, state in STATES.items() if state == record.state),
        values=tuple(record.values) if complete else (),
        reports=tuple(sorted(record.intermediate_values.items())),
    )
