"""Self-attention of the encoder that is trained here, as one operator of ONNX Runtime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
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
    rule = pattern.RewriteRule(_attention, _fused, _is_attention, remove_nodes=False)
    fused: onnx.ModelProto = rewrite(model, pattern_rewrite_rules=[rule])
    del fused.graph.value_info[:]
    return fused


def _attention(op: Any, **given: Any) -> Any:
    names = ("packed", "shape", "bias", "none", "scale", "first", "second", "third")
    packed, shape, bias, none, scale, *starts = (given[name] for name in names)
    parts = op.Transpose(op.Reshape(packed, shape), perm=[2, 0, 3, 1, 4])
    query, key, value = (
        op.Squeeze(op.Slice(parts, start, _SOME, _SOME, _SOME), _SOME) for start in starts
    )
    turned = op.Reshape(op.Transpose(op.Reshape(key, _SOME), perm=[0, 2, 1]), _SOME)
    scores = op.MatMul(op.Mul(query, scale), op.Mul(turned, scale))
    weights = op.Softmax(op.Add(scores, bias), axis=-1)
    mixed = op.MatMul(op.Where(op.IsNaN(weights), none, weights), value)
    return op.Reshape(op.Transpose(mixed, perm=[0, 2, 1, 3]), _SOME)
