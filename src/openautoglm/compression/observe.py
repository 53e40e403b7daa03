"""What goes into a network's matrix products when it sees calibration rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from openautoglm.compression.graph import Weight
from openautoglm.compression.recipe import Batch
from openautoglm.inference.model import INPUT


def ranges(
    model: onnx.ModelProto, weights: Sequence[Weight], batches: Sequence[Batch]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Least and largest number, by name of each product's input."""
    least: dict[str, NDArray[np.float32]] = {}
    most: dict[str, NDArray[np.float32]] = {}
    for name, value in _seen(model, weights, batches):
        least[name] = np.minimum(value.min(), least.get(name, np.float32(0)))
        most[name] = np.maximum(value.max(), most.get(name, np.float32(0)))
    return {name: (np.asarray(least[name]), np.asarray(most[name])) for name in least}


def moments(
    model: onnx.ModelProto, weights: Sequence[Weight], batches: Sequence[Batch]
) -> dict[str, NDArray[np.float64]]:
    """Sum of `x x^T`, `float64[in, in]`, over the inputs x of each weight, by its name."""
    readers: dict[str, list[str]] = {}
    for weight in weights:
        for node in weight.nodes:
            readers.setdefault(node.input[0], []).append(weight.name)
    found = {w.name: np.zeros((len(w.value), len(w.value))) for w in weights}
    for name, value in _seen(model, weights, batches):
        rows = value.reshape(-1, value.shape[-1]).astype(np.float64)
        moment = rows.T @ rows
        for reader in readers[name]:
            found[reader] += moment
    return found


def _seen(
    model: onnx.ModelProto, weights: Sequence[Weight], batches: Sequence[Batch]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each input `float32[..., in]` of the products, batch by batch."""
    names = sorted({node.input[0] for weight in weights for node in weight.nodes})
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    for name in names:
        watched.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # the sums, and with them the bytes, follow no core count
    options.log_severity_level = 3
    session = ort.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for batch in batches:
        yield from zip(names, session.run(names, {INPUT: batch}), strict=True)
