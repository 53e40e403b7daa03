"""The loss over one or several heads."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from openautoglm.statistics.classification import Labels


def class_weights(
    y: Labels, classes: int, kind: Literal["none", "sqrt", "balanced"]
) -> Tensor | None:
    """Weight of each class `float32[classes]`, mean 1; None when all are 1."""
    if kind == "none":
        return None
    share = np.maximum(np.bincount(y, minlength=classes), 1) / len(y)
    weight = share ** (-0.5 if kind == "sqrt" else -1.0)
    return torch.tensor(weight / weight.mean(), dtype=torch.float32)


def heads_loss(
    heads: Tensor, y: Tensor, *, weight: Tensor | None, smoothing: float, mutual: float
) -> Tensor:
    """Sum over heads of cross entropy, plus `mutual` times what parts them.

    Args:
        heads: Logits `[rows, heads, classes]`.
        y: Classes `int64[rows]`.
        weight: Class weights, or None.
        smoothing: Label smoothing of the first head. The linear head does without: it learns
            rare n-grams from a few rows each, and smoothing would hide them.
        mutual: Weight of KL(other || head), the other's prediction taken as given (deep mutual
            learning: Zhang, Xiang, Hospedales, Lu, CVPR 2018).
    """
    if weight is not None:
        weight = weight.to(heads.device)
    total = heads.new_zeros(())
    count = heads.shape[1]
    log_proba = functional.log_softmax(heads.float(), dim=-1)
    for place in range(count):
        total = total + functional.cross_entropy(
            heads[:, place].float(), y, weight=weight, label_smoothing=0.0 if place else smoothing
        )
        for other in range(count):
            if other != place and mutual:
                total = total + mutual * functional.kl_div(
                    log_proba[:, place],
                    log_proba[:, other].detach(),
                    log_target=True,
                    reduction="batchmean",
                )
    return total


def probabilities(heads: Tensor) -> Tensor:
    """Mean of the heads' probabilities, `float32[rows, classes]`."""
    return torch.softmax(heads.float(), dim=-1).mean(dim=1)
