"""tune: the search for each family's settings, in rounds that no kill changes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import TuneParams
from openautoglm.observability.progress import say
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.trials import DIRECTIONS, STUDY, search_of
from openautoglm.training.settled import BEST
from openautoglm.tuning.plots import history_plot, importance_plot
from openautoglm.tuning.search import search
from openautoglm.tuning.space import Space
from openautoglm.tuning.storage import export
from openautoglm.tuning.trials import Trial, best

TRIALS = "trials.csv"
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
    work = search_of(prepared, params, runtime)
    trials: list[Trial] = []
    if work.plan is not None:
        trials = search(
            work.objective, work.space, work.plan, work.storage, workers=runtime.workers
        )
    found: dict[str, Any] = {
        family: _settled(family, trials, params) for family in params.model.families
    }
    for family, settled in found.items():
        say(f"{family}: {settled['reason']}")
    _write(out, found, trials, work.space)
    _log(runtime, params, trials, out)


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
        export(trials, space, DIRECTIONS, out / STUDY)
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
