"""Self-attention of the encoder that is trained here, as one operator of ONNX Runtime."""

from __future__ import annotations

import math
from typing import Any

import onnx
import onnx_ir as ir
from onnxscript.rewriter import pattern, rewrite

from openautoglm.compression.graph import MICROSOFT

_SOME = pattern.ANY_VALUE


def fuse_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with `MultiHeadAttention` for each attention over one packed projection.

    The pattern is what the exporter makes of `scaled_dot_product_attention` on slices of
    `[rows, length, 3, heads, width]`. Another attention, such as a pretrained model's, stays as
    it is. A row of nothing but padding gets equal weights instead of none; the encoder's mean
    leaves padding out.
    """
    rule = pattern.RewriteRule(_attention, _fused, _is_plain, remove_nodes=False)
    fused: onnx.ModelProto = rewrite(model, pattern_rewrite_rules=[rule])
    del fused.graph.value_info[:]
    return fused


def _attention(
    op: Any,
    packed: Any,
    shape: Any,
    bias: Any,
    none: Any,
    scale: Any,
    first: Any,
    second: Any,
    third: Any,
) -> Any:
    parts = op.Transpose(op.Reshape(packed, shape), perm=[2, 0, 3, 1, 4])
    query, key, value = (
        op.Squeeze(op.Slice(parts, start, _SOME, _SOME), _SOME) for start in (first, second, third)
    )
    turned = op.Reshape(op.Transpose(op.Reshape(key, _SOME), perm=[0, 2, 1]), _SOME)
    scores = op.MatMul(op.Mul(query, scale), op.Mul(turned, scale))
    weights = op.Softmax(op.Add(scores, bias), axis=-1)
    mixed = op.MatMul(op.Where(op.IsNaN(weights), none, weights), value)
    return op.Reshape(op.Transpose(mixed, perm=[0, 2, 1, 3]), _SOME)


def _is_plain(
    context: Any, shape: ir.Value, bias: ir.Value, scale: ir.Value, **values: Any
) -> bool:
    """Query, key, value in this order; the usual scale; a mask of padding alone."""
    starts = [_numbers(values[name]) for name in ("first", "second", "third")]
    heads = _heads(shape)
    return (
        starts == [[0], [1], [2]]
        and heads is not None
        and math.isclose(_numbers(scale)[0], heads[1] ** -0.25, rel_tol=1e-5)
        and _padding(bias) is not None
    )


def _fused(op: Any, packed: ir.Value, shape: ir.Value, bias: ir.Value, **_: Any) -> Any:
    heads = _heads(shape)
    assert heads is not None
    query, key, value = op.Split(packed, axis=-1, num_outputs=3, _outputs=3)
    mask = op.Cast(_padding(bias), to=ir.DataType.INT32)
    return op.MultiHeadAttention(
        query, key, value, None, mask, num_heads=heads[0], _domain=MICROSOFT
    )


def _heads(shape: ir.Value) -> tuple[int, int] | None:
    """Number of heads and width of each, from the shape that parts the projection."""
    node = shape.producer()
    if node is None or node.op_type != "Concat" or len(node.inputs) != 5:
        return None
    found = [_numbers(value) for value in node.inputs[2:]]
    return (int(found[1][0]), int(found[2][0])) if all(found) and found[0] == [3] else None


def _padding(bias: ir.Value) -> ir.Value | None:
    """The mask `bool[rows, length]` from which the bias `[rows, 1, 1, length]` was made."""
    where = bias.producer()
    spread = where.inputs[0].producer() if where is not None and where.inputs[0] else None
    if spread is None or spread.op_type != "Unsqueeze" or _numbers(spread.inputs[1]) != [1, 2]:
        return None
    return spread.inputs[0]


def _numbers(value: ir.Value | None) -> list[Any]:
    """The elements of a constant; none where it is not one."""
    if value is None or value.const_value is None:
        return []
    return list(value.const_value.numpy().reshape(-1).tolist())
