"""As `int8`, with the ranges of activations taken from calibration rows instead of each call.

A row's probabilities then do not depend on the rows beside it, and numbers beyond what
calibration saw are cut to its range. On saturating CPUs as in `int8`.
"""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from openautoglm.compression.attention import fuse_attention
from openautoglm.compression.conditions import holds_products
from openautoglm.compression.graph import named, products, read, write
from openautoglm.compression.lookups import shrink_lookups
from openautoglm.compression.observe import ranges
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write the fp32 graph with 8-bit products, calibrated, and 8-bit tables."""
    model = fuse_attention(read(source.fp32))
    # ONNX Runtime's own calibration runs on all cores, and its sums would follow their number.
    seen = ranges(model, products(model), source.calibration)
    shrink_lookups(model, bits=8)
    # What the quantiser cannot infer a type for it leaves as it is.
    model.graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in seen
    )
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, seen),
        nodes_to_quantize=named(products(model)),
        nodes_to_exclude=[],
        op_types_to_quantize=["MatMul"],
        # A product's result goes on as fp32: rounding it too only loses.
        extra_options={"DefaultTensorType": 1, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
    )
    quantizer.quantize_model()
    del quantizer.model.model.graph.value_info[:]
    quantizer.model.topological_sort()
    write(quantizer.model.model, out)


RECIPE = Recipe(build, bound=0.15, lossy=True, applies=holds_products)
"""Bound: as of `int8`, and half as much again for what calibration did not see."""
