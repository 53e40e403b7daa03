"""Hashed tables and embeddings in fewer bytes: the row that was looked up is widened."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from openautoglm.compression.blockwise import GROUP, codes, grid, pack
from openautoglm.compression.graph import MICROSOFT, Weight, lists, rewrite, tables

Arrays = dict[str, NDArray[np.generic]]
Store = Callable[[Weight], tuple[Arrays, Callable[[NodeProto], list[NodeProto]]]]
LARGEST_HALF = float(np.finfo(np.float16).max)
"""What does not fit into fp16 keeps its fp32; never seen in a trained network."""


def halve_lookups(model: onnx.ModelProto) -> None:
    """Store tables and lists as fp16."""
    _store(model, [*tables(model), *lists(model)], _fp16)


def shrink_lookups(model: onnx.ModelProto, *, bits: int) -> None:
    """Store tables with 8 or 4 bits a number, lists as fp16.

    With 8 bits a row has one scale, fp16, and codes -127 to 127. With 4 it has a grid for every
    `GROUP` numbers (`blockwise.grid`).
    """
    _store(model, tables(model), _int8 if bits == 8 else _int4)
    _store(model, lists(model), _fp16)


def _store(model: onnx.ModelProto, weights: list[Weight], store: Store) -> None:
    nodes: dict[str, list[NodeProto]] = {}
    constants: Arrays = {}
    for weight in weights:
        if np.abs(weight.value).max() > LARGEST_HALF:
            continue
        arrays, lookup = store(weight)
        constants |= arrays
        nodes |= {node.output[0]: lookup(node) for node in weight.nodes}
    rewrite(model, nodes, constants)


def _fp16(weight: Weight) -> tuple[Arrays, Callable[[NodeProto], list[NodeProto]]]:
    name = f"{weight.name}.fp16"

    def lookup(node: NodeProto) -> list[NodeProto]:
        out = node.output[0]
        return [
            helper.make_node(node.op_type, [name, node.input[1]], [f"{out}.fp16"]),
            widen(f"{out}.fp16", out),
        ]

    return {name: weight.value.astype(np.float16)}, lookup


def _int8(weight: Weight) -> tuple[Arrays, Callable[[NodeProto], list[NodeProto]]]:
    name, scale_name = f"{weight.name}.int8", f"{weight.name}.scale"
    scale = (np.abs(weight.value).max(1, keepdims=True) / 127).astype(np.float16)
    divisor = np.where(scale == 0, np.inf, scale.astype(np.float32))
    found = np.clip(np.rint(weight.value / divisor), -127, 127).astype(np.int8)

    def lookup(node: NodeProto) -> list[NodeProto]:
        ids, out = node.input[1], node.output[0]
        return [
            helper.make_node("Gather", [name, ids], [f"{out}.int8"]),
            helper.make_node("Gather", [scale_name, ids], [f"{out}.fp16"]),
            widen(f"{out}.int8", f"{out}.codes"),
            widen(f"{out}.fp16", f"{out}.scale"),
            helper.make_node("Mul", [f"{out}.codes", f"{out}.scale"], [out]),
        ]

    return {name: found, scale_name: scale}, lookup


def _int4(weight: Weight) -> tuple[Arrays, Callable[[NodeProto], list[NodeProto]]]:
    columns = weight.value.shape[1]
    # A byte holds two codes: a table of odd width gets a column, which is cut off again.
    value = np.pad(weight.value, ((0, 0), (0, columns % 2)))
    found = grid(value)
    names = [f"{weight.name}.{part}" for part in ("int4", "scale", "zero", "begin", "end", "last")]
    arrays: Arrays = {
        names[0]: pack(codes(value, found.wide(value.shape[1]))),
        names[1]: found.scale.astype(np.float16),
        names[2]: pack(found.zero.astype(np.uint8)),
    }
    if columns % 2:
        arrays |= {
            name: np.array([number], np.int64)
            for name, number in zip(names[3:], (0, columns, -1), strict=True)
        }

    def lookup(node: NodeProto) -> list[NodeProto]:
        out = node.output[0]
        gather = helper.make_node(
            "GatherBlockQuantized",
            [names[0], node.input[1], names[1], names[2]],
            [f"{out}.fp16"],
            domain=MICROSOFT,
            bits=4,
            block_size=GROUP,
            gather_axis=0,
            quantize_axis=1,
        )
        if not columns % 2:
            return [gather, widen(f"{out}.fp16", out)]
        cut = helper.make_node("Slice", [f"{out}.fp16", *names[3:]], [f"{out}.cut"])
        return [gather, cut, widen(f"{out}.cut", out)]

    return arrays, lookup


def widen(name: str, out: str) -> NodeProto:
    """The node that casts `name` to the fp32 numbers `out`."""
    return helper.make_node("Cast", [name], [out], to=TensorProto.FLOAT)
