"""As `int4-rtn`, with the rounding of matrices chosen by calibration rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from openautoglm.compression.blockwise import Grid
from openautoglm.compression.conditions import holds_products
from openautoglm.compression.gptq import gptq
from openautoglm.compression.graph import Weight, products, read
from openautoglm.compression.int4 import write_int4
from openautoglm.compression.observe import moments
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write the fp32 graph with 4-bit products by GPTQ, and 4-bit tables."""
    model = read(source.fp32)
    # One thread: the last digits of sums follow their number, and a code can hang on them.
    with threadpool_limits(1):
        seen = moments(model, products(model), source.calibration)

        def rounding(weight: Weight, wide: Grid) -> NDArray[np.uint8]:
            return gptq(weight.value.T, seen[weight.name], wide)

        write_int4(source.fp32, rounding, out)


RECIPE = Recipe(build, bound=0.5, lossy=True, applies=holds_products)
"""Bound: that of `int4-rtn`, whose tables this shares: they cost more than the matrices."""
