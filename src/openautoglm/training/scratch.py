"""The `transformer` family without a base: built here, trained from random weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from openautoglm.config.training import TransformerSettings
from openautoglm.inference.package import TextInput
from openautoglm.observability.progress import say
from openautoglm.text.ngrams import PAD
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.blocks import Size, cut_to
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.job import Job, Restored
from openautoglm.training.launch import is_first, processes
from openautoglm.training.loss import probabilities
from openautoglm.training.tfidf import inverse_document_frequency
from openautoglm.training.trainer import fit_classifier

FAMILY = "transformer"
SHAPE, WEIGHTS, TOKENIZER = "encoder.json", "model.safetensors", "tokenizer.json"


class Classifier(nn.Module):
    """A module with heads as one that gives probabilities `float32[rows, k]`."""

    def __init__(self, heads: nn.Module) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, ids: Tensor) -> Tensor:
        """Probabilities from ids `int64[rows, length]`."""
        return probabilities(self.heads(ids))


def fit(job: Job, out: Path) -> NDArray[np.float32]:
    """Fit, write the family's folder, and return probabilities on valid `float32[n, k]`."""
    settings, shape = job.settings, job.settings.transformer
    tokenizer = character_tokenizer(job.train.inputs, min_count=shape.min_count)
    encoder = TextEncoder(tokenizer, max_length=settings.max_length, pad_id=PAD)
    torch.manual_seed(settings.seed)
    # Gradients that several processes must add up are dense.
    module = NgramTransformer(
        tokenizer.get_vocab_size(),
        job.classes,
        settings.max_length,
        shape,
        sparse=processes() == 1,
    )
    if module.linear is not None:
        ids = encoder.matrix(encoder.ids(list(job.train.inputs)))
        idf = inverse_document_frequency(ids, shape.linear_orders, shape.buckets)
        module.linear.idf.copy_(torch.from_numpy(idf))
    weights = sum(parameter.numel() for parameter in module.parameters())
    say(f"{job.name or FAMILY}: {weights / 1e6:.1f} million weights, {len(job.train.y)} rows")
    valid = fit_classifier(
        FAMILY,
        module,
        encoder,
        job,
        tables=module.tables(),
        table_lr=shape.ngram_lr,
        mutual=shape.mutual,
    )
    if is_first():
        save(module, out)
        tokenizer.save(str(out / TOKENIZER))
    return valid


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
    """Read what `fit` or `save` wrote."""
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
