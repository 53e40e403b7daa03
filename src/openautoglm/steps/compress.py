"""compress: the networks of train in every precision, and smaller ones; one of them is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openautoglm.artifacts.folder import PAYLOAD, write_text
from openautoglm.compression.pack import VARIANTS, Built, pack
from openautoglm.config.params import CompressParams
from openautoglm.inference.package import SPEED
from openautoglm.observability.progress import say
from openautoglm.steps.body import pure
from openautoglm.steps.build import DIRECTIONS, Build
from openautoglm.steps.elsewhere import take_up
from openautoglm.steps.runtime import Runtime
from openautoglm.tuning.plots import pareto_plot
from openautoglm.tuning.search import search
from openautoglm.tuning.storage import Storage, export
from openautoglm.tuning.trials import Plan, Trial, pareto

VALUES = ("bytes", "macro F1", "operations")
AXES = ("bytes", "macro F1 on valid", "operations a text")
STUDY, PARETO = "study.db", "pareto.png"


@pure
def compress(
    *, prepared: Path, trained: Path, params: CompressParams, runtime: Runtime, out: Path
) -> None:
    """Write the package: graphs, tokenizers, `model.json`, `variants.json`, and the choice.

    Variants are the trials of a search for small, good and cheap ones: first each recipe of
    `compress.recipes`, then other ways to cut the candidate and to teach a student. Recipes'
    variants are kept, and of the others those that no variant beats in every respect. What
    parts have finished (`Runtime.finished_work`) is not made again.

    Raises:
        StepError: An fp32 graph differs from the framework by more than
            `compress.max_difference`.
        StoreError: The store of `Runtime.study` cannot be used.
    """
    take_up(runtime.finished_work, runtime.work)
    work = Build(prepared, trained, params, runtime.device, runtime.work)
    space, starts = work.space(), work.starts()
    plan = Plan(
        seed=params.compress.seed,
        rounds=params.compress.search.rounds if any(space.branches.values()) else 0,
        trials=params.compress.search.trials,
        directions=DIRECTIONS,
        labels=VALUES,
        starts=starts,
    )
    url = runtime.study or f"sqlite:///{runtime.work / STUDY}"
    storage = Storage(url, f"compress {runtime.work.name.removeprefix('sha256-')[:16]}")
    trials = search(
        work,
        space,
        plan,
        storage,
        workers=runtime.workers,
        step="compress",
        after_round=lambda found: _tell(found, runtime.work),
    )
    front = {trial.number for trial in pareto(trials, DIRECTIONS)}
    export(trials, space, DIRECTIONS, out / STUDY)
    pareto_plot(trials, DIRECTIONS, AXES, out / PARETO)
    # Of a recipe that is left out the reason is told; a failed idea of the search is forgotten.
    told = [trial for trial in trials if trial.round == 0 or trial.state == "complete"]
    built = [work.built(trial, trial.number in front) for trial in told]
    kept = [one for one in built if one.trial < len(starts) or one.pareto]
    chosen = pack(kept, work.left_out(), work.told, work.ground, params.compress, out)
    say(f"{chosen.family} {chosen.variant}: {chosen.reason}")
    _log(runtime, params, built, out)


def _tell(trials: list[Trial], work: Path) -> None:
    """Say and keep what the Pareto set is so far, for whoever looks while it goes on."""
    front = pareto(trials, DIRECTIONS)
    say(f"round {trials[-1].round}: {len(front)} of {len(trials)} variants are beaten by none")
    lines = [f"{trial.number},{trial.point}" for trial in front]
    write_text(work / "pareto.csv", "\n".join(["trial,variant", *lines]) + "\n")


def _log(runtime: Runtime, params: CompressParams, built: Sequence[Built], out: Path) -> None:
    with runtime.tracker.run("compress", key=runtime.work.name) as run:
        run.params({"compress": params.compress.model_dump(mode="json")})
        for one in built:
            found = one.variation.measured
            with run.nested(
                f"{one.family} {one.precision}", key=f"{runtime.work.name} {one.trial}"
            ) as nested:
                nested.params({"family": one.family, "precision": one.precision, **one.settings})
                figures = found.model_dump(exclude={"left_out", "input"})
                nested.metrics(figures | {"pareto": float(one.pareto)})
        for name in (PARETO, SPEED):
            run.artifact(out / name)
        run.artifact(out / PAYLOAD / VARIANTS)
