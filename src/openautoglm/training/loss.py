"""The loss over one or several heads."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
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


class Taught(NamedTuple):
    """What a teacher says of a batch.

    Attributes:
        soft: Its softened probabilities `float32[rows, classes]`; see `soften`.
        temperature: The one they were softened with.
        weight: The teacher's share of the loss.
    """

    soft: Tensor
    temperature: float
    weight: float


def soften(proba: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities `[n, k]` at a temperature: of logits z it is `softmax(z / temperature)`.

    From `softmax(z)` alone: `p ** (1 / temperature)`, each row divided by its sum.
    """
    # The largest of a row becomes 1, so that no row's sum can vanish at a low temperature.
    scaled = np.divide(proba, proba.max(1, keepdims=True), dtype=np.float64)
    powers = np.power(scaled, 1 / temperature)
    soft: NDArray[np.float32] = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    return soft


def heads_loss(
    heads: Tensor,
    y: Tensor,
    *,
    weight: Tensor | None,
    smoothing: float,
    mutual: float,
    taught: Taught | None = None,
) -> Tensor:
    """Sum over heads of cross entropy, plus `mutual` times what parts them.

    With a teacher of weight w and temperature T, a head's cross entropy counts 1 - w, and
    `w * T**2 * KL(teacher || head)`, both at T, is added (Hinton, Vinyals, Dean: Distilling the
    Knowledge in a Neural Network, 2015; T squared keeps the gradients' size the same at any T).

    Args:
        heads: Logits `[rows, heads, classes]`.
        y: Classes `int64[rows]`.
        weight: Class weights, or None.
        smoothing: Label smoothing of the first head. The linear head does without: it learns
            rare n-grams from a few rows each, and smoothing would hide them.
        mutual: Weight of KL(other || head), the other's prediction taken as given (deep mutual
            learning: Zhang, Xiang, Hospedales, Lu, CVPR 2018).
        taught: What a teacher says of these rows, or None.
    """
    if weight is not None:
        weight = weight.to(heads.device)
    total = heads.new_zeros(())
    count = heads.shape[1]
    log_proba = functional.log_softmax(heads.float(), dim=-1)
    told = 1.0 if taught is None else 1.0 - taught.weight
    for place in range(count):
        total = total + told * functional.cross_entropy(
            heads[:, place].float(), y, weight=weight, label_smoothing=0.0 if place else smoothing
        )
        if taught is not None:
            total = total + taught.weight * _distance(heads[:, place].float(), taught)
        for other in range(count):
            if other != place and mutual:
                total = total + mutual * functional.kl_div(
                    log_proba[:, place],
                    log_proba[:, other].detach(),
                    log_target=True,
                    reduction="batchmean",
                )
    return total


def _distance(logits: Tensor, taught: Taught) -> Tensor:
    log_soft = functional.log_softmax(logits / taught.temperature, dim=-1)
    return taught.temperature**2 * functional.kl_div(log_soft, taught.soft, reduction="batchmean")


def probabilities(heads: Tensor) -> Tensor:
    """Mean of the heads' probabilities, `float32[rows, classes]`."""
    return torch.softmax(heads.float(), dim=-1).mean(dim=1)
