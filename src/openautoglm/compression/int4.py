"""Graphs with 4-bit weights; who chooses the codes of a matrix is an argument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from openautoglm.compression.attention import fuse_attention
from openautoglm.compression.blockwise import GROUP, Grid, grid, pack
from openautoglm.compression.graph import MICROSOFT, Weight, products, read, rewrite, write
from openautoglm.compression.lookups import shrink_lookups

Arrays = dict[str, NDArray[np.generic]]
_EXACT = 1
"""Level at which ONNX Runtime multiplies in fp32. Level 4 rounds activations to 8 bits where the
CPU has instructions for that: faster at batch 1 by a fifth, and other numbers on other CPUs."""
Rounding = Callable[[Weight, Grid], NDArray[np.uint8]]
"""From a matrix `[in, out]` and the grid of each number `[out, in]` to codes `uint8[out, in]`."""


def write_int4(fp32: Path, rounding: Rounding, out: Path) -> None:
    """Write a graph with its products and tables in 4 bits.

    Args:
        fp32: The graph to start from.
        rounding: Chooses the codes of each product's matrix. A table's are rounded to nearest:
            its rows are looked up one at a time, so no number can make good another's error.
        out: The file to write.
    """
    model = fuse_attention(read(fp32))
    nodes: dict[str, list[NodeProto]] = {}
    constants: Arrays = {}
    for weight in products(model):
        found = grid(np.ascontiguousarray(weight.value.T))
        codes = rounding(weight, found.wide(len(weight.value)))
        arrays = _packed(weight.name, codes, found)
        constants |= arrays
        nodes |= {node.output[0]: [_product(node, [*arrays], codes)] for node in weight.nodes}
    rewrite(model, nodes, constants)
    shrink_lookups(model, bits=4)
    write(model, out)


def _packed(name: str, codes: NDArray[np.uint8], found: Grid) -> Arrays:
    out, width = codes.shape
    blocks = found.zero.shape[1]
    padded = np.zeros((out, blocks * GROUP), np.uint8)
    padded[:, :width] = codes
    return {
        f"{name}.int4": pack(padded).reshape(out, blocks, GROUP // 2),
        f"{name}.scale": found.scale,
        f"{name}.zero": pack(found.zero.astype(np.uint8)),
    }


def _product(node: NodeProto, arrays: list[str], codes: NDArray[np.uint8]) -> NodeProto:
    out, width = codes.shape
    return helper.make_node(
        "MatMulNBits",
        [node.input[0], *arrays],
        [node.output[0]],
        domain=MICROSOFT,
        K=width,
        N=out,
        bits=4,
        block_size=GROUP,
        accuracy_level=_EXACT,
    )
