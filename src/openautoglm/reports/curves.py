"""Curves over time as SVG images that a page carries in itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, MaxNLocator, ScalarFormatter

CHAMPION, CHALLENGER, WORSE, GOOD, NEUTRAL = "#2b6cb0", "#dd6b20", "#c53030", "#2f855a", "#718096"
_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"))


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes:
        label: In the legend.
        seconds: Since the beginning, ascending.
        values: One for each; None leaves a gap.
        colour: Of the line.
        style: Of the line, as matplotlib writes it.
        steps: Each value holds until the next one.
    """

    label: str
    seconds: Sequence[float]
    values: Sequence[float | None]
    colour: str
    style: str = "-"
    steps: bool = False


@dataclass(frozen=True)
class Plot:
    """What is drawn into one frame.

    Attributes:
        title: Above it.
        curves: What is drawn; those without a value are left out.
        marks: Seconds at which something changed, drawn as upright lines.
        level: A value that decides, drawn across.
        floor: The axis goes no lower.
        ceiling: The axis goes no higher.
        scale: Of the upright axis.
    """

    title: str
    curves: Sequence[Curve]
    marks: Sequence[float] = ()
    level: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    scale: Literal["linear", "log"] = "linear"


def drawn(plot: Plot) -> str:
    """The plot as an address an image can have; "" when no curve has a value."""
    curves = [curve for curve in plot.curves if any(value is not None for value in curve.values)]
    if not curves:
        return ""
    # Text stays text, so that the reader's machine chooses the font, and the file stays small.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": plot.title, "font.size": 9}):
        # Frames of one size, so that the time axes of a page can be compared.
        figure = Figure(figsize=(6.2, 2.7))
        _fill(figure.add_axes((0.09, 0.17, 0.6, 0.73)), plot, curves)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(out.getvalue()).decode()}"


def _fill(axes: Axes, plot: Plot, curves: Sequence[Curve]) -> None:
    longest = max([*plot.marks, *(curve.seconds[-1] for curve in curves)])
    divisor, unit = next(
        ((size, name) for least, size, name in _UNITS if longest >= least), (1, "seconds")
    )
    for mark in plot.marks:
        axes.axvline(mark / divisor, color=NEUTRAL, linewidth=0.6, alpha=0.6, linestyle=":")
    for curve in curves:
        values = np.array([np.nan if value is None else value for value in curve.values], float)
        axes.plot(
            np.asarray(curve.seconds, float) / divisor,
            values,
            color=curve.colour,
            linestyle=curve.style,
            linewidth=1.5,
            # A lone point has no line.
            marker="o" if np.isfinite(values).sum() < 2 else None,
            markersize=4,
            drawstyle="steps-post" if curve.steps else "default",
            label=curve.label,
        )
    if plot.level is not None:
        axes.axhline(plot.level, color="black", linewidth=0.9, linestyle="--", label="decides")
    axes.set_title(plot.title, fontsize=10, loc="left")
    axes.set_xlabel(f"{unit} since the start")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _limits(axes, plot)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.03))


def _limits(axes: Axes, plot: Plot) -> None:
    if plot.scale == "log":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 20 * low:  # powers of ten alone would leave the axis without a number
            axes.yaxis.set_major_locator(AutoLocator())
            axes.yaxis.set_minor_locator(MaxNLocator(1))
            axes.yaxis.set_minor_formatter(lambda *_: "")
        axes.yaxis.set_major_formatter(ScalarFormatter())
    low, high = axes.get_ylim()
    if plot.floor is not None:
        low = max(low, plot.floor)
    if plot.ceiling is not None:
        high = min(high, plot.ceiling)
    if low < high:
        axes.set_ylim(low, high)
