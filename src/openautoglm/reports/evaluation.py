"""The evaluation as one HTML page that needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openautoglm.reports.page import render


def write_page(
    out: Path,
    *,
    metrics: Mapping[str, Any],
    classes: Sequence[Mapping[str, Any]],
    variants: Sequence[Mapping[str, Any]],
    verdict: Mapping[str, str],
    confidence: float,
    confusion: Path,
) -> None:
    """Write the page.

    Args:
        out: HTML file.
        metrics: `metrics.json`.
        classes: One mapping a class: label, precision, recall, f1, support.
        variants: One mapping a variant: family, variant, served, bytes, agreement, macro_f1,
            accuracy, change, change_low, change_high.
        verdict: `verdict.json`.
        confidence: Of the intervals, as a share.
        confusion: PNG of the confusion matrix, taken into the page.
    """
    candidate = metrics["candidate"]
    models = [(f"candidate: {candidate['family']} {candidate['variant']}", candidate)]
    if metrics["fallback"]:
        models.append((f"fallback: {metrics['fallback']['family']}", metrics["fallback"]))
    models.append(("baseline: TF-IDF + logistic regression", metrics["baseline"]))
    page = render(
        "evaluation.html.j2",
        metrics=metrics,
        classes=classes,
        variants=variants,
        verdict=verdict,
        models=models,
        confidence=f"{100 * confidence:g}",
        confusion=base64.b64encode(confusion.read_bytes()).decode(),
    )
    out.write_text(page, encoding="utf-8")
