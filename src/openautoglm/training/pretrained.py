"""The `transformer` family with a base: fine-tuning of a local folder or a hub id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from openautoglm.errors import SourceError
from openautoglm.inference.package import TextInput
from openautoglm.observability.progress import say
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.base import Base
from openautoglm.training.blocks import Size, cut_to
from openautoglm.training.job import Job, Restored
from openautoglm.training.launch import is_first
from openautoglm.training.scratch import FAMILY
from openautoglm.training.scratch_folder import Classifier
from openautoglm.training.trainer import fit_classifier

INPUT, TOKENIZER, LEFT, WEIGHTS = "input.json", "tokenizer.json", "left.json", "model.safetensors"


class PretrainedHeads(nn.Module):
    """A `transformers` classifier as a module of ids alone, with one head.

    The attention mask is made inside, from the padding id, so that the exported graph has the
    one input that every text model has.
    """

    def __init__(self, model: nn.Module, pad_id: int) -> None:
        super().__init__()
        self.model: Any = model
        self.pad_id = pad_id

    def forward(self, ids: Tensor) -> Tensor:
        """Logits `[rows, 1, classes]` from ids `int64[rows, length]`."""
        mask = (ids != self.pad_id).to(torch.int64)
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits.unsqueeze(1)


def fit(job: Job, out: Path) -> NDArray[np.float32]:
    """Fit, write the family's folder, and return probabilities on valid `float32[n, k]`.

    Raises:
        SourceError: The base cannot be read, or its tokenizer is not a fast one.
    """
    assert job.base is not None
    tokenizer, pad_id = _tokenizer(job.base)
    torch.manual_seed(job.settings.seed)
    model = _model(job.base, job.classes)
    longest = min(job.settings.max_length, _positions(model.config))
    encoder = TextEncoder(tokenizer, max_length=longest, pad_id=pad_id)
    weights = sum(parameter.numel() for parameter in model.parameters())
    say(f"{job.name or FAMILY}: {weights / 1e6:.1f} million weights of {job.base.name}")
    heads = PretrainedHeads(model, pad_id)
    valid = fit_classifier(FAMILY, heads, encoder, job)
    if is_first():
        taken = TextInput(kind="text", tokenizer=TOKENIZER, max_length=longest, pad_id=pad_id)
        save(heads, taken, out)
        tokenizer.save(str(out / TOKENIZER))
    return valid


def save(
    heads: PretrainedHeads, taken: TextInput, out: Path, *, left: Sequence[Size] | None = None
) -> None:
    """Write configuration, weights and input into the family's folder.

    Args:
        heads: What was fitted.
        taken: What it takes.
        out: The folder.
        left: What pruning left of each layer; None for a network that was not pruned.
    """
    # The configuration would otherwise tell where on this machine the base was.
    heads.model.config._name_or_path = ""
    heads.model.save_pretrained(out)
    (out / INPUT).write_text(taken.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if left is not None:
        (out / LEFT).write_text(json.dumps(left) + "\n", encoding="utf-8")


def restore(folder: Path) -> Restored:
    """Read what `fit` or `save` wrote."""
    taken = TextInput.model_validate_json((folder / INPUT).read_text(encoding="utf-8"))
    logging.disable_progress_bar()
    given = {"attn_implementation": "eager"}
    if (folder / LEFT).is_file():
        # No configuration of the library's can say that layers differ in their heads.
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_config(config, **given)
        cut_to(model, json.loads((folder / LEFT).read_text(encoding="utf-8")))
        model.load_state_dict(load_file(folder / WEIGHTS))
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, **given
        )
    module = Classifier(PretrainedHeads(model, taken.pad_id)).eval()
    return Restored(
        module, torch.full((2, 6), 1 if taken.pad_id == 0 else 0, dtype=torch.int64), taken
    )


def _tokenizer(base: Base) -> tuple[Tokenizer, int]:
    loaded = _load(AutoTokenizer.from_pretrained, base)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None or loaded.pad_token_id is None:
        raise SourceError(
            "the base's tokenizer cannot be used in a replica",
            where=base.place,
            allowed="a fast tokenizer (tokenizer.json) with a padding token",
        )
    # A copy: the loaded one carries this process's padding and truncation.
    return Tokenizer.from_str(backend.to_str()), int(loaded.pad_token_id)


def _model(base: Base, classes: int) -> Any:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return _load(
        AutoModelForSequenceClassification.from_pretrained,
        base,
        num_labels=classes,
        attn_implementation="eager",
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
    )


def _positions(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", None) or 2**31)


def _load(function: Any, base: Base, **given: Any) -> Any:
    try:
        return function(base.place, revision=base.commit, **given)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise SourceError(
            f"the base model cannot be loaded: {first}",
            where=f"params.yaml, key model.base: {base.place}",
            allowed="a folder with config.json, weights and tokenizer, or a name on the hub",
        ) from error
