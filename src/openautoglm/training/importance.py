"""How much a network's loss hangs on each attention head and each feed-forward row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.blocks import Block, blocks
from openautoglm.training.job import Rows
from openautoglm.training.loss import heads_loss

_BATCH = 32
FEWEST_HEADS, FEWEST_HIDDEN = 1, 8


class Importance(NamedTuple):
    """Of one layer: `float64[heads]` and `float64[hidden]`."""

    heads: NDArray[np.float64]
    hidden: NDArray[np.float64]


def importance(network: nn.Module, encoder: TextEncoder, rows: Rows) -> list[Importance]:
    """First-order change of the loss if a head, or a feed-forward row, were not there.

    The sum over rows of |activation * gradient|, the product taken over the positions of a text:
    the gradient of a gate on the part (heads: Michel, Levy, Neubig, NeurIPS 2019; rows:
    Molchanov, Mallya, Tyree, Frosio, Kautz, CVPR 2019).

    Args:
        network: From ids to logits of heads, in eval mode; unchanged.
        encoder: Texts to ids.
        rows: Some hundred rows of train.

    Returns:
        One for each layer, first to last.

    Raises:
        StepError: See `blocks`.
    """
    layers = blocks(network)
    found = [Importance(np.zeros(b.size.heads), np.zeros(b.size.hidden)) for b in layers]
    ids = encoder.ids([str(text) for text in rows.inputs])
    for start in range(0, len(ids), _BATCH):
        batch = torch.from_numpy(encoder.matrix(ids[start : start + _BATCH]))
        y = torch.from_numpy(rows.y[start : start + _BATCH])
        for total, (heads, hidden) in zip(found, _gates(network, layers, batch, y), strict=True):
            of_heads = heads.view(len(heads), len(total.heads), -1).sum(2)
            total.heads[:] += of_heads.abs().sum(0).numpy()
            total.hidden[:] += hidden.abs().sum(0).numpy()
    return found


def most_important(values: NDArray[np.float64], share: float, fewest: int) -> list[int]:
    """Places of the largest values, in ascending order; of equal ones the lower place.

    Args:
        values: `float64[n]`.
        share: How many stay, 0 to 1, rounded to the nearest count.
        fewest: How many stay at least, as far as there are so many.
    """
    count = min(len(values), max(fewest, int(share * len(values) + 0.5)))
    return sorted(np.argsort(-values, kind="stable")[:count].tolist())


def _gates(
    network: nn.Module, layers: Sequence[Block], ids: Tensor, y: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Activation times gradient, summed over positions: `[rows, width]` before both layers."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0])

    watched = [linear for block in layers for linear in (block.after_heads, block.after_hidden)]
    hooks = [linear.register_forward_pre_hook(keep) for linear in watched]
    try:
        loss = heads_loss(network(ids), y, weight=None, smoothing=0.0, mutual=0.0)
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(loss * len(y), seen)  # of each row's own loss
    products = [
        (value.detach() * gradient).sum(1) for value, gradient in zip(seen, gradients, strict=True)
    ]
    return list(zip(products[::2], products[1::2], strict=True))
