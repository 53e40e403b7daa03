"""tune: the search for each family's settings, in rounds that no kill changes."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import TuneParams
from openautoglm.config.search import Space as Searched
from openautoglm.config.search import changed, dimensions
from openautoglm.config.training import TrainSettings
from openautoglm.config.tuning import family_of, space_for
from openautoglm.data.prepared import Prepared, Split, read
from openautoglm.observability.progress import say
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime
from openautoglm.training.base import Base, locate
from openautoglm.training.devices import threads
from openautoglm.training.families import fit
from openautoglm.training.job import Job, Rows
from openautoglm.training.settled import BEST, refuse_numeric
from openautoglm.tuning.plots import history_plot, importance_plot
from openautoglm.tuning.search import search
from openautoglm.tuning.settings import present, searched
from openautoglm.tuning.space import Point, Space
from openautoglm.tuning.storage import Storage, export
from openautoglm.tuning.trials import Plan, Report, Trial, best

TRIALS, STUDY = "trials.csv", "study.db"
HISTORY, IMPORTANCE = "history.png", "importance.png"


@pure
def tune(*, prepared: Path, params: TuneParams, runtime: Runtime, out: Path) -> None:
    """Write `payload/best.json` and `trials.csv`; plots and a study to look at beside them.

    A trial fits one family on `tune.rows` rows of train for `tune.epochs` epochs and is worth
    its best macro F1 on valid. What a killed attempt has finished is not run again.

    Raises:
        ConfigError: A setting does not fit the data or cannot be had on this machine.
        SourceError: `model.base` cannot be read.
        StoreError: The store of `Runtime.study` cannot be used.
    """
    rows = read(prepared)
    refuse_numeric(params.model.families, rows.features)
    base = None
    if params.model.base is not None:
        base = locate(params.model.base, params.model.revision, runtime.project)
    space = _space(params, rows)
    trials: list[Trial] = []
    if not params.tune.rounds:
        say("tune.rounds is 0: nothing is searched, and the other keys of tune do nothing")
    else:
        objective = _Fit(prepared, params, base, runtime.device, runtime.work)
        trials = _search(objective, space, params, runtime)
    found: dict[str, Any] = {
        family: _settled(family, trials, params) for family in params.model.families
    }
    for family, settled in found.items():
        say(f"{family}: {settled['reason']}")
    _write(out, found, trials, space)
    _log(runtime, params, trials, out)


@dataclass
class _Fit:
    """One trial: fit a family on a part of train; workers get it pickled."""

    prepared: Path
    params: TuneParams
    base: Base | None
    device: str
    work: Path

    def __reduce__(self) -> tuple[type[_Fit], tuple[Any, ...]]:
        # A worker reads for itself what is cached here.
        return _Fit, (self.prepared, self.params, self.base, self.device, self.work)

    def __call__(self, point: Point, report: Report) -> tuple[float]:
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


def _search(objective: _Fit, space: Space, params: TuneParams, runtime: Runtime) -> list[Trial]:
    starts = (
        Point(family, present(params.train, (dimension.name for dimension in found)))
        for family, found in space.branches.items()
    )
    plan = Plan(
        seed=params.tune.seed,
        rounds=params.tune.rounds,
        trials=params.tune.trials,
        directions=("maximize",),
        labels=("macro F1",),
        starts=tuple(starts),
        prune=params.tune.prune,
    )
    url = runtime.study or f"sqlite:///{runtime.work / STUDY}"
    # Named by inputs, parameters, code and base, so that a shared store keeps searches apart.
    name = f"tune {runtime.work.name.removeprefix('sha256-')[:16]}"
    if objective.base is not None:
        name += f" {objective.base.digest[-16:]}"
    storage = Storage(url, name)
    return search(objective, space, plan, storage, workers=runtime.workers)


def _settled(family: str, trials: Sequence[Trial], params: TuneParams) -> dict[str, Any]:
    """Which trial a family trains with: the best, or its first where nothing beats that."""
    mine = [trial for trial in trials if trial.point.branch == family]
    if not any(trial.state == "complete" for trial in mine):
        return {"trial": None, "settings": {}, "reason": "train's settings: nothing was tried"}
    found = best(mine)
    gain = found.values[0] - mine[0].values[0]
    if len(mine) == 1:
        told = "train's settings: nothing was searched"
    elif found is mine[0] or gain < params.tune.min_gain:
        found, told = mine[0], f"train's settings stay: none of {len(mine)} trials beats them"
        if gain > 0:
            told += f" by {params.tune.min_gain:g} (best: {gain:+.4f})"
    else:
        told = f"trial {found.number}, the best of {len(mine)} ({gain:+.4f}): {found.point}"
    return {
        "trial": found.number,
        "settings": {} if found is mine[0] else dict(found.point.values),
        "macro_f1": found.values[0],
        "start_macro_f1": mine[0].values[0],
        "reason": told,
    }


def _write(out: Path, found: dict[str, Any], trials: Sequence[Trial], space: Space) -> None:
    told = json.dumps(found, indent=2, ensure_ascii=False)
    (out / PAYLOAD / BEST).write_text(told + "\n", encoding="utf-8")
    with (out / PAYLOAD / TRIALS).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["trial", "round", "family", "state", "macro_f1", "settings"])
        for trial in trials:
            value = trial.values[0] if trial.values else ""
            settings = json.dumps(dict(trial.point.values))
            writer.writerow(
                [trial.number, trial.round, trial.point.branch, trial.state, value, settings]
            )
    if trials:
        export(trials, space, ("maximize",), out / STUDY)
        history_plot(trials, out / HISTORY)
        importance_plot(trials, space, out / IMPORTANCE)


def _log(runtime: Runtime, params: TuneParams, trials: Sequence[Trial], out: Path) -> None:
    key = runtime.work.name
    with runtime.tracker.run("tune", key=key) as run:
        run.params(params.model_dump(mode="json"))
        for trial in trials:
            with run.nested(f"trial {trial.number}", key=f"{key} {trial.number}") as nested:
                nested.params({"family": trial.point.branch, **trial.point.values})
                for step, value in trial.reports:
                    nested.metrics({"epoch_macro_f1": value}, step)
                if trial.values:
                    nested.metrics({"macro_f1": trial.values[0]})
        for family in params.model.families:
            mine = [t.values[0] for t in trials if t.values and t.point.branch == family]
            if mine:
                run.metrics({f"{family}.best_macro_f1": max(mine)})
        run.artifact(out / PAYLOAD / TRIALS)
        for plot in (HISTORY, IMPORTANCE) if trials else ():
            run.artifact(out / plot)
