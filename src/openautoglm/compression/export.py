"""A torch module as one ONNX file that says nothing about the machine it was made on."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch

from openautoglm.inference.model import INPUT, OUTPUT

OPSET = 20
"""The first with one operator for GELU, which ONNX Runtime otherwise counts in five."""


def export(module: torch.nn.Module, example: torch.Tensor, out: Path) -> None:
    """Write `module` as one ONNX graph with free row count (and text length).

    Args:
        module: Takes `int64[rows, length]` or `float32[rows, d]`, gives `float32[rows, k]`.
        example: Such an input; each free dimension larger than 1, because torch takes a 1 in an
            example for a constant.
        out: The file to write.
    """
    free = {0: torch.export.Dim.DYNAMIC}
    if example.dtype == torch.int64:
        free[1] = torch.export.Dim.DYNAMIC
    # The exporter talks to standard output and warns about its own insides.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(free,),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))


def strip(model: onnx.ModelProto) -> None:
    """Remove what exporters add for debugging: stack traces, paths, doc strings.

    The digest of a model would otherwise follow the folder it was exported in.
    """
    del model.metadata_props[:]
    model.doc_string = ""
    model.producer_version = ""
    for part in (model.graph, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
        for item in (*part.node, *part.value_info):
            item.doc_string = ""
            del item.metadata_props[:]
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
