"""The parts of a network that structured pruning can cut: attention heads, feed-forward rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers.pytorch_utils import prune_linear_layer

from openautoglm.errors import StepError


class Size(NamedTuple):
    """What a layer has left: attention heads and feed-forward rows."""

    heads: int
    hidden: int


@dataclass(frozen=True)
class Names:
    """What an encoder layer calls its parts.

    Attributes:
        into_heads: Linear layers whose outputs are the heads; a fused one holds them several
            times over, one after the other.
        after_heads: Linear layer that takes the heads' results side by side.
        into_hidden: Linear layer whose outputs are the feed-forward rows.
        after_hidden: Linear layer that takes them.
        heads: Number of heads.
        width: Width of one head.
        total: Product of the two, where the layer keeps it.
    """

    into_heads: tuple[str, ...]
    after_heads: str
    into_hidden: str
    after_hidden: str
    heads: str
    width: str
    total: str | None = None


NAMES = (
    Names(("query_key_value",), "output", "forward_in", "forward_out", "heads", "width"),
    Names(  # BERT, RoBERTa, ELECTRA, MacBERT, ERNIE
        ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
        "attention.self.num_attention_heads",
        "attention.self.attention_head_size",
        "attention.self.all_head_size",
    ),
    Names(  # DistilBERT
        ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        "attention.out_lin",
        "ffn.lin1",
        "ffn.lin2",
        "attention.n_heads",
        "attention.attention_head_size",
    ),
)


class Block:
    """One encoder layer, cut in place.

    Args:
        layer: The layer.
        names: What it calls its parts.
    """

    def __init__(self, layer: nn.Module, names: Names) -> None:
        self._layer = layer
        self._names = names

    @property
    def size(self) -> Size:
        """How many heads and feed-forward rows there are."""
        return Size(_get(self._layer, self._names.heads), self.after_hidden.in_features)

    @property
    def after_heads(self) -> nn.Linear:
        """Takes the heads' results side by side, `[rows, length, heads * width]`."""
        found: nn.Linear = _get(self._layer, self._names.after_heads)
        return found

    @property
    def after_hidden(self) -> nn.Linear:
        """Takes the feed-forward rows, `[rows, length, hidden]`."""
        found: nn.Linear = _get(self._layer, self._names.after_hidden)
        return found

    def keep_heads(self, places: Sequence[int]) -> None:
        """Cut every head but these."""
        names, heads, width = self._names, self.size.heads, _get(self._layer, self._names.width)
        kept = (torch.tensor(places)[:, None] * width + torch.arange(width)).flatten()
        for name in names.into_heads:
            times = _get(self._layer, name).out_features // (heads * width)
            starts = torch.arange(times)[:, None] * heads * width
            self._cut(name, (starts + kept).flatten(), 0)
        self._cut(names.after_heads, kept, 1)
        _set(self._layer, names.heads, len(places))
        if names.total is not None:
            _set(self._layer, names.total, len(kept))

    def keep_hidden(self, places: Sequence[int]) -> None:
        """Cut every feed-forward row but these."""
        self._cut(self._names.into_hidden, torch.tensor(places), 0)
        self._cut(self._names.after_hidden, torch.tensor(places), 1)

    def _cut(self, name: str, kept: torch.Tensor, dim: int) -> None:
        _set(self._layer, name, prune_linear_layer(_get(self._layer, name), kept, dim))


def blocks(network: nn.Module) -> list[Block]:
    """The encoder layers of a network, first to last.

    Raises:
        StepError: It has none, or has layers that call their parts by names we do not know.
    """
    found = [
        Block(module, names)
        for module in network.modules()
        for names in NAMES
        if _is_called(module, names)
    ]
    inner = getattr(network, "model", network)
    config = getattr(inner, "config", None)
    expected = len(found) if config is None else getattr(config, "num_hidden_layers", 0)
    if not found or len(found) != expected:
        raise StepError(
            f"this network cannot be pruned: {len(found)} of its layers are of a known kind",
            where=type(inner).__name__,
            allowed="encoder layers as ours, BERT's or DistilBERT's, at least one",
            hint="leave pruned out of compress.recipes",
        )
    return found


def sizes(network: nn.Module) -> list[Size]:
    """What each layer has left; see `blocks` for errors."""
    return [block.size for block in blocks(network)]


def cut_to(network: nn.Module, left: Iterable[Sequence[int]]) -> None:
    """Give a network of full size the shape of a pruned one, so that its weights fit.

    Args:
        network: Cut in place; which places stay has no meaning.
        left: Heads and feed-forward rows of each layer, as `sizes` gave them.

    Raises:
        StepError: See `blocks`.
    """
    for block, (heads, hidden) in zip(blocks(network), left, strict=True):
        block.keep_heads(range(heads))
        block.keep_hidden(range(hidden))


def _is_called(module: nn.Module, names: Names) -> bool:
    linear = (*names.into_heads, names.after_heads, names.into_hidden, names.after_hidden)
    numbers = (names.heads, names.width, *([names.total] if names.total else []))
    return all(isinstance(_get(module, name), nn.Linear) for name in linear) and all(
        isinstance(_get(module, name), int) for name in numbers
    )


def _get(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def _set(module: Any, path: str, value: Any) -> None:
    parent, _, name = path.rpartition(".")
    setattr(_get(module, parent) if parent else module, name, value)
