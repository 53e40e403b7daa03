"""A quarter of the bytes and integer products: 8-bit weights, activations rounded on the fly.

Weights of a product are signed with one scale a column; activations are unsigned with one scale a
call, from the least and the largest number of that call, so a row's probabilities depend a little
on the rows beside it. Heads (`Gemm`) stay in fp32: few bytes, and the last word.

On CPUs with VNNI instructions (or their ARM kin) the sums are exact. On older x86 CPUs pairs of
products are added in 16 bits and saturate where both are extreme: slower and a little less exact
there; `reduce_range`, which avoids it, would cost every CPU a bit.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from openautoglm.compression.attention import fuse_attention
from openautoglm.compression.conditions import holds_weights
from openautoglm.compression.graph import named, products, read, write
from openautoglm.compression.lookups import shrink_lookups
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write the fp32 graph with 8-bit products and tables."""
    model = fuse_attention(read(source.fp32))
    shrink_lookups(model, bits=8)
    names = named(products(model))
    if names:
        add_pre_process_metadata(model)  # else it advises to optimise first, which gains nothing
        with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
            quantised = Path(folder) / "int8.onnx"
            quantize_dynamic(
                model,
                quantised,
                op_types_to_quantize=["MatMul"],
                nodes_to_quantize=names,
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": 1},
            )
            model = read(quantised)
    write(model, out)


RECIPE = Recipe(build, bound=0.1, lossy=True, applies=holds_weights)
"""Bound: seven times what was seen of trained networks, 0.014; beyond it something is broken."""
