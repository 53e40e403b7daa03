"""The trials of tune: what one does, and the search that they are, alone or with others."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from openautoglm.config.params import TuneParams
from openautoglm.config.search import Space as Searched
from openautoglm.config.search import changed, dimensions
from openautoglm.config.training import TrainSettings
from openautoglm.config.tuning import family_of, space_for
from openautoglm.data.prepared import Prepared, Split, read
from openautoglm.observability.progress import say
from openautoglm.steps.runtime import Runtime
from openautoglm.training.base import Base, locate
from openautoglm.training.devices import threads
from openautoglm.training.families import fit
from openautoglm.training.job import Job, Rows
from openautoglm.training.settled import refuse_numeric
from openautoglm.tuning.settings import present, searched
from openautoglm.tuning.space import Point, Space
from openautoglm.tuning.storage import Storage
from openautoglm.tuning.trials import Direction, Plan, Report

DIRECTIONS: tuple[Direction, ...] = ("maximize",)
"""Of macro F1 on valid."""
STUDY = "study.db"


@dataclass
class Fit:
    """One trial: fit a family on a part of train; workers get it pickled."""

    prepared: Path
    params: TuneParams
    base: Base | None
    device: str
    work: Path

    def __reduce__(self) -> tuple[type[Fit], tuple[Any, ...]]:
        # A worker reads for itself what is cached here.
        return Fit, (self.prepared, self.params, self.base, self.device, self.work)

    def __call__(self, point: Point, report: Report) -> tuple[float]:
        """Best macro F1 on valid; not finite where the values do not fit together."""
        values = {**point.values, "epochs": self.params.tune.epochs}
        try:
            settings = changed(self.params.train, values)
        except ValidationError as error:
            # Values that are allowed one by one, and not together.
            say(f"{point} cannot be: {error.errors()[0]['msg']}")
            return (float("nan"),)
        found: list[float] = []

        def curve(metrics: dict[str, float], step: int) -> None:
            value = metrics.get(f"{point.branch}.valid_macro_f1")
            if value is not None:
                found.append(value)
                if point.branch == "transformer":  # a glm is done when it has a value
                    report(len(found), value)

        with threads(settings.threads), tempfile.TemporaryDirectory(dir=self.work) as folder:
            fit(point.branch, self._job(settings, curve), Path(folder))
        return (max(found),)

    def _job(self, settings: TrainSettings, curve: Any) -> Job:
        train, valid = self._rows
        return Job(
            train=train,
            valid=valid,
            classes=len(self._prepared.labels),
            features=self._prepared.features,
            base=self.base,
            settings=settings,
            work=None,
            device=self.device,
            curve=curve,
        )

    @cached_property
    def _prepared(self) -> Prepared:
        return read(self.prepared)

    @cached_property
    def _rows(self) -> tuple[Rows, Rows]:
        split = self._prepared.split
        valid = split("valid")
        return _sample(split("train"), self.params.tune.rows), Rows(valid.inputs, valid.y)


def _sample(split: Split, count: int) -> Rows:
    """The first rows, and of each class that they lack the first one."""
    # Rows lie in the order of their hashes: the first ones are a random sample.
    firsts = np.unique(split.y, return_index=True)[1]
    places = np.union1d(np.arange(min(count, len(split.y))), firsts)
    inputs = split.inputs
    chosen = inputs[places] if isinstance(inputs, np.ndarray) else [inputs[at] for at in places]
    return Rows(chosen, split.y[places])


@dataclass(frozen=True)
class Search:
    """All that whoever takes part in the search of tune has in common.

    Attributes:
        objective: Runs one trial.
        space: Where trials lie; the families are its branches.
        plan: How the search goes; None where nothing is searched.
        storage: Where its trials are kept.
    """

    objective: Fit
    space: Space
    plan: Plan | None
    storage: Storage


def search_of(prepared: Path, params: TuneParams, runtime: Runtime) -> Search:
    """The search that inputs and parameters ask for.

    Args:
        prepared: The folder of prepare.
        params: What tune sees.
        runtime: Its work folder has the name of the attempt at tune.

    Raises:
        ConfigError: A setting does not fit the data or cannot be had on this machine.
        SourceError: `model.base` cannot be read.
    """
    rows = read(prepared)
    refuse_numeric(params.model.families, rows.features)
    base = None
    if params.model.base is not None:
        base = locate(params.model.base, params.model.revision, runtime.project)
    space = _space(params, rows)
    objective = Fit(prepared, params, base, runtime.device, runtime.work)
    return Search(objective, space, _plan(params, space), _storage(base, runtime))


def _plan(params: TuneParams, space: Space) -> Plan | None:
    if not params.tune.rounds:
        say("tune.rounds is 0: nothing is searched, and the other keys of tune do nothing")
        return None
    return Plan(
        seed=params.tune.seed,
        rounds=params.tune.rounds,
        trials=params.tune.trials,
        directions=DIRECTIONS,
        labels=("macro F1",),
        starts=tuple(
            Point(family, present(params.train, (dimension.name for dimension in found)))
            for family, found in space.branches.items()
        ),
        prune=params.tune.prune,
    )


def _storage(base: Base | None, runtime: Runtime) -> Storage:
    url = runtime.study or f"sqlite:///{runtime.work / STUDY}"
    # Named by inputs, parameters, code and base, so that a shared store keeps searches apart.
    name = f"tune {runtime.work.name.removeprefix('sha256-')[:16]}"
    return Storage(url, name if base is None else f"{name} {base.digest[-16:]}")


def _space(params: TuneParams, rows: Prepared) -> Space:
    given: Searched | None = params.tune.space
    if given is None:
        given = space_for(
            params.model.families,
            base=params.model.base is not None,
            numeric=rows.features is not None,
        )
    mine = dict(dimensions(given))
    return Space(
        "family",
        {
            family: searched(
                params.train, {key: mine[key] for key in mine if family_of(key) == family}
            )
            for family in params.model.families
        },
    )
