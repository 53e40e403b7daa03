"""Plots as PNG files, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray

_CJK = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei",
        "WenQuanYi Micro Hei", "PingFang SC", "Microsoft YaHei", "SimHei")  # fmt: skip
_NUMBERS_ABOVE = 20


def confusion_plot(counts: NDArray[np.int64], labels: Sequence[str], out: Path) -> None:
    """Draw confusion counts `[k, k]` as shares of the true class, and save them to `out`."""
    k = len(labels)
    side = max(4.0, 0.42 * k + 1.8)
    figure = Figure(figsize=(side + 0.8, side), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", xticks=range(k), yticks=range(k))
    names = _drawable(labels, axes)
    axes.set_xticklabels(names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticklabels(names)
    if k <= _NUMBERS_ABOVE:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(count), ha="center", va="center", color=colour, fontsize=7
                )
    figure.savefig(out, metadata={"Software": None})


def difference_plot(
    values: NDArray[np.float64], labels: Sequence[str], title: str, axis: str, out: Path
) -> None:
    """Draw one bar a class, right of zero in blue and left in red, and save them to `out`.

    Args:
        values: One difference a class, `float64[k]`.
        labels: Class names.
        title: What is compared.
        axis: What the bars measure, with its sign's meaning.
        out: PNG file.
    """
    figure = Figure(figsize=(7, max(2.5, 0.3 * len(labels) + 1.4)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(labels))
    axes.barh(places, values, color=np.where(values >= 0, "#2b6cb0", "#c53030"))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel=axis, title=title, yticks=places)
    axes.set_yticklabels(_drawable(labels, axes))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(out, metadata={"Software": None})


def _drawable(labels: Sequence[str], axes: Axes) -> list[str]:
    """The labels, in a font that has them; numbers where this machine has no such font."""
    needed = {ord(char) for label in labels for char in label if not char.isspace()}
    for family in ("DejaVu Sans", *_CJK):
        if needed <= _characters(family):
            for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
                text.set_fontfamily(family)
            return list(labels)
    axes.set_title("no font here draws these labels: numbers in label order", fontsize=8)
    return [str(number + 1) for number in range(len(labels))]


@cache
def _characters(family: str) -> frozenset[int]:
    try:
        path = font_manager.findfont(family, fallback_to_default=False)
    except ValueError:
        return frozenset()
    return frozenset(FT2Font(path).get_charmap())
