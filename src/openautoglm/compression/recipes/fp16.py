"""Half the bytes: weights stored as fp16, counted with as fp32.

A CPU multiplies fp32 faster than fp16 (most widen every number first), so the matrices are
widened once, when the graph is loaded, and a table's rows when they are looked up. The variant is
as fast as fp32; in memory only its tables are smaller.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from openautoglm.compression.conditions import holds_weights
from openautoglm.compression.graph import products, read, rewrite, write
from openautoglm.compression.lookups import LARGEST_HALF, halve_lookups, widen
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write the fp32 graph with its large weights rounded to fp16."""
    model = read(source.fp32)
    halve_lookups(model)
    nodes: dict[str, list[NodeProto]] = {}
    constants: dict[str, NDArray[np.generic]] = {}
    for weight in products(model):
        if np.abs(weight.value).max() > LARGEST_HALF:
            continue
        name = f"{weight.name}.fp16"
        constants[name] = weight.value.astype(np.float16)
        first = weight.nodes[0]
        nodes[first.output[0]] = [widen(name, weight.name), first]
    rewrite(model, nodes, constants)
    write(model, out)


RECIPE = Recipe(build, bound=0.01, lossy=True, applies=holds_weights)
"""Bound: five times what was seen of trained networks; a weight moves by 1 part in 2,048."""
