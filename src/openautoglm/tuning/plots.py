"""Pictures of a search as PNG files: its history, what mattered, its Pareto set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from openautoglm.tuning.space import Space
from openautoglm.tuning.studies import branch_study, quiet
from openautoglm.tuning.trials import Direction, Trial, pareto

FEWEST = 5
"""Different values of a branch from which on importances are shown."""
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568")
_WIDE = 10
"""Values that far apart stand on a logarithmic axis, or the small ones would crowd."""
_MARKERS, _MAP = "os^Dv", "viridis"


def history_plot(
    trials: Sequence[Trial],
    out: Path,
    *,
    direction: Direction = "maximize",
    axis: str = "macro F1",
) -> None:
    """Draw each trial and the best value so far, a colour a branch, and save them to `out`.

    Args:
        trials: Finished ones, in number order; pruned ones stand at their last report.
        out: PNG file.
        direction: Which way is better.
        axis: What the value is.
    """
    figure, axes = _figure(axis, "trial")
    better = np.fmax if direction == "maximize" else np.fmin
    for colour, branch in zip(_colours(trials), _branches(trials), strict=True):
        mine = [trial for trial in trials if trial.point.branch == branch]
        numbers = [trial.number for trial in mine]
        values = [trial.values[0] if trial.state == "complete" else math.nan for trial in mine]
        axes.plot(numbers, values, "o", color=colour, label=branch, markersize=5)
        if mine:
            so_far = better.accumulate(np.array(values))
            axes.step(numbers, so_far, where="post", color=colour, linewidth=1, alpha=0.7)
    pruned = [trial for trial in trials if trial.state == "pruned" and trial.reports]
    if pruned:
        numbers = [trial.number for trial in pruned]
        last = [trial.reports[-1][1] for trial in pruned]
        axes.plot(numbers, last, "x", color="#718096", label="pruned", markersize=6)
    for trial in trials:
        if trial.place == 0 and trial.round:
            axes.axvline(trial.number - 0.5, color="black", linewidth=0.5, alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("each trial, and the best so far; lines part the rounds", fontsize=9)
    if trials:
        axes.legend(fontsize=8)
    figure.savefig(out, metadata={"Software": None})


def importance_plot(
    trials: Sequence[Trial],
    space: Space,
    out: Path,
    *,
    directions: Sequence[Direction] = ("maximize",),
) -> None:
    """Draw how much each setting mattered within its branch, and save it to `out`.

    A branch with too few trials says so. Shares of the variance of the first value (functional
    ANOVA; Hutter, Hoos, Leyton-Brown, ICML 2014).

    Args:
        trials: Finished ones.
        space: Their space.
        out: PNG file.
        directions: One a value.
    """
    rows = max(1, sum(max(1, len(dimensions)) for dimensions in space.branches.values()))
    heights = [max(1, len(dimensions)) for dimensions in space.branches.values()] or [1]
    figure = Figure(
        figsize=(7, 1.2 + 0.35 * rows + 0.6 * len(heights)), dpi=110, layout="constrained"
    )
    grid = figure.subplots(len(heights), squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, branch in zip(grid[:, 0], space.branches, strict=False):
        found = _importances(trials, space, branch, directions)
        axes.set_title(branch, fontsize=10, loc="left")
        if found:
            axes.barh(list(found), list(found.values()), color=_COLOURS[0])
            axes.set(xlim=(0, 1), xlabel="share of the variance")
            axes.invert_yaxis()
        else:
            _say(axes, f"fewer than {FEWEST} complete trials that differ: nothing to tell")
    figure.savefig(out, metadata={"Software": None})


def pareto_plot(
    trials: Sequence[Trial],
    directions: Sequence[Direction],
    labels: Sequence[str],
    out: Path,
) -> None:
    """Draw trials of two or three values, those of the Pareto set ringed with their number.

    Args:
        trials: Finished ones; only complete ones are drawn.
        directions: One a value.
        labels: What the values are: across, up, and the third as colour.
        out: PNG file.

    Raises:
        ValueError: There is one value, or there are more than three.
    """
    if len(directions) not in (2, 3):
        raise ValueError(f"a Pareto plot shows two or three values, not {len(directions)}")
    complete = [trial for trial in trials if trial.state == "complete"]
    front = pareto(complete, directions)
    figure, axes = _figure(labels[1], labels[0])
    third = [trial.values[2] for trial in complete] if len(directions) == 3 else []
    norm = Normalize(min(third, default=0.0), max(third, default=1.0))
    for marker, branch in zip(cycle(_MARKERS), _branches(complete), strict=False):
        mine = np.array([trial.values for trial in complete if trial.point.branch == branch])
        axes.scatter(
            mine[:, 0],
            mine[:, 1],
            c=mine[:, 2] if third else _COLOURS[0],
            cmap=_MAP if third else None,
            norm=norm if third else None,
            marker=marker,
            label=branch,
        )
    if third:
        figure.colorbar(ScalarMappable(norm, _MAP), ax=axes, label=labels[2])
    ringed = np.array([trial.values[:2] for trial in front]).reshape(-1, 2)
    axes.scatter(
        ringed[:, 0], ringed[:, 1], c="none", edgecolors="#c53030", s=130, label="Pareto set"
    )
    for trial in front:
        place = (trial.values[0], trial.values[1])
        axes.annotate(
            str(trial.number), place, xytext=(7, 5), textcoords="offset points", fontsize=8
        )
    across = [trial.values[0] for trial in complete]
    if across and min(across) > 0 and max(across) > _WIDE * min(across):
        axes.set_xscale("log")
    axes.margins(0.12)
    axes.legend(fontsize=8)
    figure.savefig(out, metadata={"Software": None})


def _importances(
    trials: Sequence[Trial], space: Space, branch: str, directions: Sequence[Direction]
) -> dict[str, float]:
    complete = [t for t in trials if t.state == "complete" and t.point.branch == branch]
    if len({trial.values[0] for trial in complete}) < FEWEST or not space.branches[branch]:
        return {}
    study = branch_study(space, branch, complete, directions)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with quiet():
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: trial.values[0]
        )
    return {str(name): float(share) for name, share in found.items()}


def _figure(up: str, across: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    return figure, axes


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=9)
    axes.set_axis_off()


def _branches(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.point.branch for trial in trials))


def _colours(trials: Sequence[Trial]) -> list[str]:
    return [_COLOURS[place % len(_COLOURS)] for place in range(len(_branches(trials)))]
