"""The same arithmetic in fewer, larger steps: constants folded, operators fused."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime as ort

from openautoglm.compression.graph import read, write
from openautoglm.compression.recipe import Recipe, Source


def build(source: Source, out: Path) -> None:
    """Write what ONNX Runtime makes of the fp32 graph.

    Up to the level `extended`. The level above rearranges weights for the registers of the CPU at
    hand; a replica does that for itself when it loads the graph.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        options.optimized_model_filepath = f"{folder}/fused.onnx"
        ort.InferenceSession(str(source.fp32), options, providers=["CPUExecutionProvider"])
        write(read(Path(options.optimized_model_filepath)), out)


RECIPE = Recipe(build, bound=1e-4, lossy=False)
"""Bound: sums in another order than torch's."""
