"""Character n-grams inside the graph: the arithmetic of `openautoglm.text.ngrams`, in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from openautoglm.text.ngrams import MODULUS, MULTIPLIERS, PAD


def ngram_ids(ids: Tensor, order: int, buckets: int) -> Tensor:
    """As `openautoglm.text.ngrams.ngram_ids`, on `int64[rows, length]` tensors."""
    length = ids.shape[1]
    padded = functional.pad(ids, (0, order - 1), value=PAD)
    total = torch.zeros_like(ids)
    for offset in range(order):
        total = total + padded[:, offset : offset + length] * MULTIPLIERS[offset]
    bucket = total % MODULUS % (buckets - 1) + 1
    return torch.where(padded[:, order - 1 :] == PAD, torch.zeros_like(bucket), bucket)


class NgramLinear(nn.Module):
    """Linear logits of TF-IDF weighted, length-normalised hashed n-grams.

    A row's feature of bucket b is `count(b) * idf(b) / norm`, with `norm` the root of the summed
    squared idf of its n-grams, so that long and short texts have logits of one size.

    Args:
        orders: Orders of the n-grams.
        buckets: Rows of the weight table; all orders share it.
        classes: Number of classes.
        scale: Factor on the logits: raises the table's effective learning rate, and is 1 for
            weights that were not learned by gradient steps here.
        sparse: Whether the table's gradient is sparse.
    """

    idf: Tensor

    def __init__(
        self,
        orders: Sequence[int],
        buckets: int,
        classes: int,
        *,
        scale: float = 1.0,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.orders = tuple(orders)
        self.scale = scale
        self.table = nn.Embedding(buckets, classes, padding_idx=0, sparse=sparse)
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("idf", torch.ones(buckets))
        nn.init.zeros_(self.table.weight)

    def forward(self, grams: Mapping[int, Tensor]) -> Tensor:
        """Logits `[rows, classes]` from the n-gram ids `[rows, length]` of each order."""
        ids = torch.cat([grams[order] for order in self.orders], dim=1)
        weight = self.idf[ids]
        total = (self.table(ids) * weight.unsqueeze(-1)).sum(1)
        norm = weight.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        logits: Tensor = self.scale * total / norm + self.bias
        return logits
