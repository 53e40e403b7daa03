"""The `transformer` family without a base: built here, trained from random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from openautoglm.observability.progress import say
from openautoglm.text.ngrams import PAD
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.inherit import inherit
from openautoglm.training.job import Job
from openautoglm.training.launch import is_first, processes
from openautoglm.training.scratch_folder import TOKENIZER, save
from openautoglm.training.tfidf import inverse_document_frequency
from openautoglm.training.trainer import fit_classifier

FAMILY = "transformer"


def fit(job: Job, out: Path) -> NDArray[np.float32]:
    """Fit, write the family's folder, and return probabilities on valid `float32[n, k]`.

    A student starts from the tables of its teacher; see `inherit`.
    """
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
    if job.teacher is not None:
        inherit(module, encoder, job.train.inputs, job.teacher.folders)
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
