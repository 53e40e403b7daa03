"""Reading, changing and writing ONNX graphs: where a network keeps its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from openautoglm.compression.export import strip

MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""
SMALLEST = 2**8
"""Arrays of fewer numbers are biases, norms and small heads: there is nothing to win."""


class Weight(NamedTuple):
    """A constant, and the nodes that read it, all of one kind: nothing else does."""

    name: str
    value: NDArray[np.float32]
    nodes: tuple[onnx.NodeProto, ...]


def read(path: Path) -> onnx.ModelProto:
    """A graph without its notes on types, which tools would believe after the types changed."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    return model


def write(model: onnx.ModelProto, out: Path) -> None:
    """Write a graph as the same bytes every time, without what tools noted in it."""
    strip(model)
    model.producer_name = ""
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))


def products(model: onnx.ModelProto) -> list[Weight]:
    """Matrices `float32[in, out]` of `MatMul(x, matrix)`."""
    return _weights(model, "MatMul", place=1, rank=2)


def named(weights: Sequence[Weight]) -> list[str]:
    """Names of the nodes that read the weights: what ONNX Runtime's quantisers go by."""
    return [node.name for weight in weights for node in weight.nodes]


def tables(model: onnx.ModelProto) -> list[Weight]:
    """Tables `float32[rows, columns]` of `Gather(table, ids)`: ids look up rows."""
    return _weights(model, "Gather", place=0, rank=2)


def lists(model: onnx.ModelProto) -> list[Weight]:
    """Numbers `float32[rows]` of `GatherND(list, ids)`: ids look up one number each."""
    return _weights(model, "GatherND", place=0, rank=1)


def _weights(model: onnx.ModelProto, kind: str, *, place: int, rank: int) -> list[Weight]:
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, at))
    found = []
    for array in model.graph.initializer:
        known = readers.get(array.name, [])
        is_one = array.data_type == onnx.TensorProto.FLOAT and len(array.dims) == rank
        if (
            is_one
            and math.prod(array.dims) >= SMALLEST
            and known
            and all(n.op_type == kind and at == place and not _axis(n) for n, at in known)
        ):
            nodes = tuple(node for node, _ in known)
            found.append(Weight(array.name, numpy_helper.to_array(array), nodes))
    return found


def _axis(node: onnx.NodeProto) -> int:
    return next((int(item.i) for item in node.attribute if item.name == "axis"), 0)


def rewrite(
    model: onnx.ModelProto,
    nodes: Mapping[str, Sequence[onnx.NodeProto]],
    constants: Mapping[str, NDArray[np.generic]],
) -> None:
    """Replace nodes, and remove the constants that nothing reads, or a node gives, from then on.

    Args:
        model: Changed in place.
        nodes: First output of an old node, to the nodes that give it now.
        constants: New constants by name.
    """
    graph = model.graph
    kept = [new for old in graph.node for new in nodes.get(old.output[0], [old])]
    names = {name for node in kept for name in node.input}
    names -= {name for node in kept for name in node.output}
    arrays = [array for array in graph.initializer if array.name in names]
    arrays += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    fresh = onnx.GraphProto(node=kept, initializer=arrays)
    for field in ("node", "initializer"):
        graph.ClearField(field)
        getattr(graph, field).extend(getattr(fresh, field))
    declared = {item.domain for item in model.opset_import}
    if MICROSOFT not in declared and any(node.domain == MICROSOFT for node in kept):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
