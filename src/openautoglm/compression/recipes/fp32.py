"""The trained model as it is."""

from __future__ import annotations

from pathlib import Path

from openautoglm.compression.export import export
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write the graph of the source's module to `out`."""
    export(source.module, source.example, out)


RECIPE = Recipe(build, bound=1e-4, lossy=False)
"""Bound: sums in another order than torch's."""
