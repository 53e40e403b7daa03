"""The verdict: column by column, and of the window as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from openautoglm.config.drift import DriftSettings
from openautoglm.drift.columns import CLASS, Columns, Values
from openautoglm.statistics.two_samples import (
    Effect,
    cramers_v,
    kolmogorov_smirnov,
    smallest_distance,
)


class Verdict(StrEnum):
    """What is said of a column and of a window."""

    NONE = "none"
    DRIFT = "drift"
    TOO_LITTLE = "too little data"


NUMERIC, CATEGORICAL = "Kolmogorov-Smirnov distance", "Cramer's V"
_BLIND = 0.5
"""A reference so small that smaller distances than this are no evidence can clear nobody."""


@dataclass(frozen=True)
class ColumnVerdict:
    """One column of the window beside the same of the reference.

    Attributes:
        column: Its name.
        measure: What the effect is: `NUMERIC` or `CATEGORICAL`.
        effect: Its size, 0 to 1; None where a side has no row.
        threshold: The smallest effect that is drift.
        p_value: Chance of such an effect by accident; None where a side has no row.
        alpha: The largest p-value that is drift: `drift.alpha` over the number of columns
            (Bonferroni).
        rows: Rows of the window that were compared.
        reference_rows: Rows of the reference that were compared.
        verdict: Drift needs both, an effect that matters and one that is no accident.
    """

    column: str
    measure: str
    effect: float | None
    threshold: float
    p_value: float | None
    alpha: float
    rows: int
    reference_rows: int
    verdict: Verdict


@dataclass(frozen=True)
class WindowVerdict:
    """All columns, most drifted first within each verdict, and what they add up to.

    Attributes:
        verdict: Drift if one column drifts; too little data if no column can be judged.
        reason: The verdict in words.
        columns: One verdict a column.
    """

    verdict: Verdict
    reason: str
    columns: tuple[ColumnVerdict, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, equal for equal data."""
        return asdict(self)

    def figures(self, prefix: str) -> dict[str, float]:
        """For MLflow: `<prefix>.<column>` to its effect, and how many columns drift."""
        drifted = sum(c.verdict is Verdict.DRIFT for c in self.columns)
        effects = {f"{prefix}.{c.column}": c.effect for c in self.columns if c.effect is not None}
        return effects | {f"{prefix}.drifted_columns": drifted}


def compare(reference: Columns, window: Columns, settings: DriftSettings) -> WindowVerdict:
    """Compare the columns that both have.

    Args:
        reference: Columns of a sample of the reference, all of it where it is small.
        window: Columns of a sample of the window; fewer than `settings.rows` rows are too little.
        settings: Sample size, thresholds and alpha.
    """
    shared = [name for name in reference if name in window]
    alpha = settings.alpha / len(shared)
    found = [_column(name, reference[name], window[name], alpha, settings) for name in shared]
    order = [Verdict.DRIFT, Verdict.NONE, Verdict.TOO_LITTLE]
    found.sort(key=lambda c: (order.index(c.verdict), -(c.effect or 0) / (c.threshold or 1)))
    verdict = next(v for v in order if any(c.verdict is v for c in found))
    return WindowVerdict(verdict, _reason(verdict, found, settings), tuple(found))


def _column(
    name: str, reference: Values, window: Values, alpha: float, settings: DriftSettings
) -> ColumnVerdict:
    numeric = reference.dtype.kind == "f"
    size = p_value = None
    if len(reference) and len(window):
        effect = _effect(reference, window)
        # Rounded: what is left is the same on every machine, and so are verdict and digest.
        size, p_value = round(effect.size, 4), float(f"{effect.p_value:.2e}")
    threshold = settings.numeric if numeric else settings.categorical
    blind = smallest_distance(len(reference), settings.rows, alpha) >= _BLIND
    if size is None or p_value is None or len(window) < settings.rows or blind:
        verdict = Verdict.TOO_LITTLE
    elif size >= threshold and p_value <= alpha:
        verdict = Verdict.DRIFT
    else:
        verdict = Verdict.NONE
    return ColumnVerdict(
        column=name,
        measure=NUMERIC if numeric else CATEGORICAL,
        effect=size,
        threshold=threshold,
        p_value=p_value,
        alpha=float(f"{alpha:.2e}"),
        rows=len(window),
        reference_rows=len(reference),
        verdict=verdict,
    )


def _effect(reference: Values, window: Values) -> Effect:
    if reference.dtype.kind == "f":
        return kolmogorov_smirnov(reference.astype(np.float64), window.astype(np.float64))
    both = np.concatenate([reference, window]).astype(str)
    names, place = np.unique(both, return_inverse=True)
    k, n = len(names), len(reference)
    counts = [np.bincount(part, minlength=k) for part in (place[:n], place[n:])]
    return cramers_v(np.array(counts, np.int64))


def _reason(verdict: Verdict, found: Sequence[ColumnVerdict], settings: DriftSettings) -> str:
    parts = []
    drifted = [c for c in found if c.verdict is Verdict.DRIFT]
    if drifted:
        told = ", ".join(f"{c.column} ({c.effect:.2f})" for c in drifted)
        parts.append(f"{len(drifted)} of {len(found)} columns drift, most first: {told}")
    elif verdict is Verdict.NONE:
        top = max((c for c in found if c.verdict is verdict), key=lambda c: c.effect or 0)
        parts.append(
            f"no column drifts; the largest effect is {top.column} ({top.effect:.2f}, drift from "
            f"{top.threshold:g}{' if it is no accident' if _large(top) else ''})"
        )
    parts += _missing(found, settings)
    return "; ".join(parts)


def _large(column: ColumnVerdict) -> bool:
    return (column.effect or 0) >= column.threshold


def _missing(found: Sequence[ColumnVerdict], settings: DriftSettings) -> list[str]:
    """What the data could not tell."""
    rows, known = max(c.rows for c in found), max(c.reference_rows for c in found)
    least = smallest_distance(known, settings.rows, settings.alpha / len(found))
    parts = []
    if rows < settings.rows:
        parts.append(f"the window has {rows} rows, {settings.rows - rows} more are needed")
    else:
        parts += [
            f"{CLASS}: {c.rows} rows have a label, {settings.rows - c.rows} more are needed"
            for c in found
            if c.rows < settings.rows
        ]
    if least >= _BLIND:
        parts.append(f"the reference has {known} rows, too few to tell drift from accident")
    elif least > 1.5 * settings.numeric:
        parts.append(
            f"the reference has only {known} rows, so effects below {least:.2f} pass as accidents"
        )
    return parts
