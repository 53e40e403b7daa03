"""The operating characteristics as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

_COLOURS = {
    "sequential": "tab:blue",
    "threshold": "tab:orange",
    "t-test": "tab:green",
    "mann-whitney": "tab:red",
}


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw what becomes of the rollouts and what a bad one costs, one group of bars a scenario."""
    rows = [row for row in rows if row["rule"] in _COLOURS]
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    figure, (rolled, bad) = plt.subplots(1, 2, figsize=(11, 6), sharey=True, layout="constrained")
    for place, (rule, colour) in enumerate(_COLOURS.items()):
        mine = [row for row in rows if row["rule"] == rule]
        at = np.arange(len(scenarios)) + (place - 1.5) * 0.2
        back = [100 * (1 - row["promoted"] - row["undecided"]) for row in mine]
        rolled.barh(at, back, 0.2, color=colour, label=rule)
        bad.barh(at, [row["bad_answers_mean"] for row in mine], 0.2, color=colour)
    rolled.set(xlabel="rolled back, %", yticks=range(len(scenarios)), yticklabels=scenarios)
    rolled.invert_yaxis()
    bad.set(xlabel="bad answers of the challenger until the decision (mean)", xscale="symlog")
    figure.legend(*rolled.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
