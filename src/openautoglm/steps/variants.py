"""Every variant of a package on test, beside the candidate's fp32 graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openautoglm.config.params import EvaluateSettings
from openautoglm.data.prepared import Split
from openautoglm.inference.model import load
from openautoglm.inference.package import Choice, Package
from openautoglm.observability.progress import say
from openautoglm.statistics.bootstrap import paired_difference
from openautoglm.statistics.classification import scores

Proba = NDArray[np.float32]


def predicted(
    compressed: Path, package: Package, rows: Split, *, threads: int
) -> dict[tuple[str, str], Proba]:
    """Probabilities `float32[n, k]` by family and variant; the candidate's fp32 graph first."""
    first = (package.candidate, "fp32")
    names = [(family, name) for family, part in package.families.items() for name in part.variants]
    found = {}
    for family, variant in sorted(names, key=lambda name: name != first):
        model = load(compressed, family=family, variant=variant, threads=threads)
        found[family, variant] = model.predict_proba(rows.inputs)
    say(f"{len(found)} variants predicted on {len(rows.y)} rows of test")
    return found


def compared(
    found: dict[tuple[str, str], Proba],
    package: Package,
    choice: Choice,
    rows: Split,
    settings: EvaluateSettings,
) -> list[dict[str, Any]]:
    """One mapping a variant: what it is, its quality, and its paired change in accuracy.

    Args:
        found: What `predicted` gave.
        package: The package.
        choice: Which variant is served.
        rows: The rows of test.
        settings: Of the intervals.
    """
    k = len(package.labels)
    first = next(iter(found.values())).argmax(1)
    table = []
    for (family, variant), proba in found.items():
        mine = proba.argmax(1)
        change = paired_difference(
            rows.y,
            mine,
            first,
            k,
            metric="accuracy",
            resamples=settings.resamples,
            confidence=settings.confidence,
            seed=settings.seed,
        )
        part = package.families[family]
        table.append(
            {
                "family": family,
                "variant": variant,
                "served": int((family, variant) == (choice.family, choice.variant)),
                "bytes": part.variants[variant].bytes,
                "operations": part.operations,
                "agreement": float((mine == first).mean()),
                **scores(rows.y, mine, k),
                "change": change.value,
                "change_low": change.low,
                "change_high": change.high,
            }
        )
    return table
