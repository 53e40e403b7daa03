"""The folder of a transformer from scratch: shape, weights, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from openautoglm.config.training import TransformerSettings
from openautoglm.inference.package import TextInput
from openautoglm.text.ngrams import PAD
from openautoglm.training.blocks import Size, cut_to
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.job import Restored
from openautoglm.training.loss import probabilities

SHAPE, WEIGHTS, TOKENIZER = "encoder.json", "model.safetensors", "tokenizer.json"


class Classifier(nn.Module):
    """A module with heads as one that gives probabilities `float32[rows, k]`."""

    def __init__(self, heads: nn.Module) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, ids: Tensor) -> Tensor:
        """Probabilities from ids `int64[rows, length]`."""
        return probabilities(self.heads(ids))


def save(module: NgramTransformer, out: Path, *, left: Sequence[Size] | None = None) -> None:
    """Write shape and weights into the family's folder.

    Args:
        module: What was fitted.
        out: The folder.
        left: What pruning left of each layer; None for a network that was not pruned.
    """
    told = {
        "vocabulary": module.characters.num_embeddings,
        "classes": module.classes,
        "max_length": module.positions.num_embeddings,
        "settings": module.settings.model_dump(mode="json"),
    }
    if left is not None:
        told["left"] = left
    (out / SHAPE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    state = {name: value.contiguous() for name, value in sorted(module.state_dict().items())}
    save_file(state, out / WEIGHTS)


def restore(folder: Path) -> Restored:
    """Read what `save` wrote, with the tokenizer beside it."""
    told = json.loads((folder / SHAPE).read_text(encoding="utf-8"))
    settings = TransformerSettings.model_validate(told["settings"], strict=False)
    module = NgramTransformer(told["vocabulary"], told["classes"], told["max_length"], settings)
    if "left" in told:
        cut_to(module, told["left"])
    module.load_state_dict(load_file(folder / WEIGHTS))
    return Restored(
        Classifier(module).eval(),
        torch.ones(2, 6, dtype=torch.int64),
        TextInput(kind="text", tokenizer=TOKENIZER, max_length=told["max_length"], pad_id=PAD),
    )
