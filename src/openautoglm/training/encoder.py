"""The transformer that is trained from scratch."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from openautoglm.config.training import TransformerSettings
from openautoglm.text.ngrams import PAD
from openautoglm.training.ngrams import NgramLinear, ngram_ids


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each after a norm (pre-norm: Xiong et al., ICML 2020).

    Written out so that the exported graph is plain matrix products, and single heads can be cut.

    Args:
        dim: Width of the input and output.
        heads: Attention heads; divides `dim`.
        hidden: Width of the feed-forward layer.
        dropout: On attention weights, on the feed-forward layer, and on both results.
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.width = dim // heads  # of a head; stays when other heads are cut
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.forward_norm = nn.LayerNorm(dim)
        self.forward_in = nn.Linear(dim, hidden)
        self.forward_out = nn.Linear(hidden, dim)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """From and to `[rows, length, dim]`; `mask` is bool `[rows, 1, 1, length]`."""
        hidden = hidden + self._drop(self._attend(self.attention_norm(hidden), mask))
        inner = self._drop(functional.gelu(self.forward_in(self.forward_norm(hidden))))
        result: Tensor = hidden + self._drop(self.forward_out(inner))
        return result

    def _attend(self, hidden: Tensor, mask: Tensor) -> Tensor:
        rows, length, _ = hidden.shape
        parts = self.query_key_value(hidden).view(rows, length, 3, self.heads, self.width)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        side_by_side = mixed.transpose(1, 2).reshape(rows, length, self.heads * self.width)
        result: Tensor = self.output(side_by_side)
        return result

    def _drop(self, hidden: Tensor) -> Tensor:
        return functional.dropout(hidden, self.dropout, self.training)


class NgramTransformer(nn.Module):
    """Characters and hashed n-grams into a small encoder, beside a linear head on n-grams.

    Short texts are decided by their n-grams as often as by their order, so the module has two
    heads: the encoder's and a linear one (the features of the `glm` family). Each has its own
    loss, both are drawn towards each other's predictions (deep mutual learning: Zhang, Xiang,
    Hospedales, Lu, CVPR 2018), and the prediction is the mean of the two.

    Args:
        vocabulary: Number of character ids.
        classes: Number of classes.
        max_length: Longest row in ids.
        settings: Shape and dropouts.
        sparse: Whether the n-gram tables get sparse gradients.
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        max_length: int,
        settings: TransformerSettings,
        *,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.classes = classes
        dim = settings.dim
        self.characters = nn.Embedding(vocabulary, dim, padding_idx=PAD)
        self.positions = nn.Embedding(max_length, dim)
        for embedding in (self.characters, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)
        self.ngrams = None
        if settings.ngram_orders:
            self.ngrams = nn.Embedding(settings.buckets, dim, padding_idx=0, sparse=sparse)
            nn.init.normal_(self.ngrams.weight, std=0.02)
            with torch.no_grad():
                self.ngrams.weight[0] = 0
        self.norm = nn.LayerNorm(dim)
        self.input_dropout = nn.Dropout(settings.input_dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(dim, settings.heads, settings.hidden, settings.dropout)
            for _ in range(settings.layers)
        )
        self.classifier = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(dim, classes))
        self.linear = None
        if settings.linear_orders:
            self.linear = NgramLinear(
                settings.linear_orders, settings.buckets, classes, scale=10.0, sparse=sparse
            )

    def tables(self) -> list[nn.Parameter]:
        """The hashed tables: the parameters that `sparse` is about."""
        found: list[nn.Parameter] = []
        if self.ngrams is not None:
            found.append(cast(nn.Parameter, self.ngrams.weight))
        if self.linear is not None:
            found.append(cast(nn.Parameter, self.linear.table.weight))
        return found

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of each head, `float32[rows, heads, classes]`, from ids `int64[rows, length]`."""
        settings = self.settings
        orders = sorted({*settings.ngram_orders, *settings.linear_orders})
        grams = {order: ngram_ids(ids, order, settings.buckets) for order in orders}
        mask = ids != PAD
        hidden = self.characters(ids)
        for order in settings.ngram_orders:
            assert self.ngrams is not None
            hidden = hidden + self.ngrams(self._hidden_from_encoder(grams[order]))
        hidden = self.input_dropout(self.norm(hidden)) + self.positions.weight[: ids.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, mask[:, None, None, :])
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        heads = [self.classifier(mean)]
        if self.linear is not None:
            heads.append(self.linear(grams))
        return torch.stack(heads, dim=1)

    def _hidden_from_encoder(self, grams: Tensor) -> Tensor:
        share = self.settings.ngram_dropout
        if not self.training or not share:
            return grams
        return grams.masked_fill(torch.rand(grams.shape, device=grams.device) < share, 0)
