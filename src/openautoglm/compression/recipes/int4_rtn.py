"""An eighth of the bytes: 4-bit weights, each rounded to the nearest step of its group's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openautoglm.compression.blockwise import Grid, codes
from openautoglm.compression.conditions import holds_weights
from openautoglm.compression.graph import Weight
from openautoglm.compression.int4 import write_int4
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write the fp32 graph with 4-bit products and tables."""
    write_int4(source.fp32, _nearest, out)


def _nearest(weight: Weight, wide: Grid) -> NDArray[np.uint8]:
    return codes(weight.value.T, wide)


RECIPE = Recipe(build, bound=0.5, lossy=True, applies=holds_weights)
"""Bound: a text of one n-gram is decided by one row of a table, and half is what a step of a row
can do whose logits span 33; 0.3 was seen of a trained `glm`, 0.15 of a trained encoder."""
