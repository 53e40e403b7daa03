"""How much arithmetic a network costs, whatever machine runs it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def operations(module: torch.nn.Module, example: torch.Tensor) -> int:
    """Floating-point operations of one call: two a multiply-add, and one an element looked up.

    An element of an embedding is added to others, which is all the arithmetic of a linear model
    on n-grams; element-wise functions are not counted.

    Args:
        module: A network.
        example: Its input, one row.
    """
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.embedding: _looked_up})
    with torch.no_grad(), counter:
        module(example)
    return int(counter.get_total_flops())


def _looked_up(*_: Any, out_shape: Any, **__: Any) -> int:
    return int(torch.Size(out_shape).numel())
