"""Structured pruning: whole attention heads and feed-forward rows are cut, then it recovers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from openautoglm.inference.package import TextInput
from openautoglm.observability.progress import say
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import pretrained, scratch_folder
from openautoglm.training.blocks import blocks, sizes
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.importance import (
    FEWEST_HEADS,
    FEWEST_HIDDEN,
    importance,
    most_important,
)
from openautoglm.training.job import Job, Restored, Rows
from openautoglm.training.trainer import fit_classifier, predict

_NAME = "pruned"


def prune(
    source: Path, restored: Restored, job: Job, *, heads: float, hidden: float, rows: int, out: Path
) -> NDArray[np.float32]:
    """Cut a fitted transformer, let it recover, and write it as its own fit would have.

    Args:
        source: The folder that `fit` wrote.
        restored: What is in it; its module is cut in place.
        job: Train rows, and how to train on: its settings, with 0 epochs for no recovery. Its
            base, and its transformer's shape, do not matter.
        heads: Share of the attention heads of each layer that stay; at least one does.
        hidden: Share of the feed-forward rows of each layer that stay; at least 8 do.
        rows: How many rows of train decide what is important.
        out: The family's new folder.

    Returns:
        Probabilities on valid, `float32[n, k]`.

    Raises:
        StepError: The network is none that we can cut.
    """
    taken, network = restored.input, restored.module.heads
    assert isinstance(taken, TextInput)
    assert isinstance(network, nn.Module)
    encoder = TextEncoder.load(
        source / taken.tokenizer, max_length=taken.max_length, pad_id=taken.pad_id
    )
    name = job.name or _NAME
    before = sizes(network)
    some = np.unique(np.linspace(0, len(job.train.y) - 1, rows).astype(np.int64))
    given = Rows([str(job.train.inputs[place]) for place in some], job.train.y[some])
    found = importance(network, encoder, given)
    for block, value in zip(blocks(network), found, strict=True):
        block.keep_heads(most_important(value.heads, heads, FEWEST_HEADS))
        block.keep_hidden(most_important(value.hidden, hidden, FEWEST_HIDDEN))
    left = sizes(network)
    for place, (was, now) in enumerate(zip(before, left, strict=True)):
        say(
            f"{name}: layer {place} keeps {now.heads} of {was.heads} heads "
            f"and {now.hidden} of {was.hidden} feed-forward rows"
        )
    valid = _recover(network, encoder, job)
    shutil.copyfile(source / taken.tokenizer, out / taken.tokenizer)
    if isinstance(network, NgramTransformer):
        scratch_folder.save(network, out, left=left)
    else:
        assert isinstance(network, pretrained.PretrainedHeads)
        pretrained.save(network, taken, out, left=left)
    return valid


def _recover(network: nn.Module, encoder: TextEncoder, job: Job) -> NDArray[np.float32]:
    if not job.settings.epochs:
        return predict(network, encoder, job.valid.inputs)
    mutual = 0.0
    if isinstance(network, NgramTransformer):
        mutual = network.settings.mutual
        # The tables know their n-grams; what was cut is the encoder's.
        for table in network.tables():
            table.requires_grad_(False)
    return fit_classifier(_NAME, network, encoder, job, mutual=mutual)
