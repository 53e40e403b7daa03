"""Gradient training of a text classifier with `transformers.Trainer`.

With a work folder: early stopping on macro F1 of valid, a checkpoint an epoch, and resumption
from the last whole one, the same bytes as without the interruption. Without: a few epochs, and
the last one's weights.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
)
from transformers.utils import logging

from openautoglm.statistics.classification import scores
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.arguments import arguments
from openautoglm.training.checkpoints import MarkWhole, last_whole
from openautoglm.training.job import Job
from openautoglm.training.launch import processes
from openautoglm.training.loss import Taught, class_weights, heads_loss, probabilities
from openautoglm.training.optimizer import table_optimizer
from openautoglm.training.progress import Progress
from openautoglm.training.rows import SOFT, EncodedRows, collate


class _Outputs(nn.Module):
    """Gives the Trainer a mapping, which it can tell from a tuple of losses.

    What the teacher says of the rows passes through, to where the loss is counted.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor, soft: Tensor | None = None) -> dict[str, Tensor]:
        heads = {"heads": self.module(ids)}
        return heads if soft is None else heads | {SOFT: soft}


class _ClassifierTrainer(Trainer):  # type: ignore[misc]
    """The Trainer, with an optimizer that treats hashed tables as what they are."""

    def __init__(self, *given: Any, tables: Sequence[nn.Parameter], table_lr: float, **more: Any):
        super().__init__(*given, **more)
        self._tables = tables
        self._table_lr = table_lr

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if not self._tables:
            optimizer: torch.optim.Optimizer = super().create_optimizer(model)
            return optimizer
        self.optimizer = table_optimizer(
            self._dense(model or self.model),
            self._tables,
            lr=self.args.learning_rate,
            table_lr=self._table_lr,
            weight_decay=self.args.weight_decay,
            sparse=processes() == 1,
        )
        return self.optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        # torch has no norm of a sparse gradient; a table's steps are bounded by its optimizer.
        norm: Tensor = self.accelerator.clip_grad_norm_(self._dense(model), self.args.max_grad_norm)
        return norm

    def _dense(self, model: nn.Module) -> list[nn.Parameter]:
        mine = {id(table) for table in self._tables}
        return [p for p in model.parameters() if p.requires_grad and id(p) not in mine]


def fit_classifier(
    name: str,
    module: nn.Module,
    encoder: TextEncoder,
    job: Job,
    *,
    tables: Sequence[nn.Parameter] = (),
    table_lr: float = 0.0,
    mutual: float = 0.0,
) -> NDArray[np.float32]:
    """Fit `module` in place: to its best epoch, or without `job.work` to its last.

    Args:
        name: For progress lines and curves, if the job has none.
        module: From ids `int64[rows, length]` to logits `[rows, heads, classes]`.
        encoder: Texts to ids.
        job: Rows, settings, work folder, teacher.
        tables: The module's hashed tables; their gradients are sparse in a single process.
        table_lr: Their peak learning rate.
        mutual: See `heads_loss`.

    Returns:
        Probabilities on valid, `float32[n, k]`.

    Raises:
        ConfigError: The precision cannot be had on this device.
    """
    logging.set_verbosity_error()
    with contextlib.ExitStack() as stack:
        work = job.work
        if work is None:  # the Trainer wants a folder, even for nothing
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openautoglm-")))
        trainer = _ClassifierTrainer(
            _Outputs(module),
            arguments(job, work),
            tables=tables,
            table_lr=table_lr,
            data_collator=partial(collate, encoder),
            train_dataset=EncodedRows(encoder, job.train, job.teacher),
            eval_dataset=EncodedRows(encoder, job.valid),
            compute_metrics=_scores,
            compute_loss_func=_loss(job, mutual),
            callbacks=_callbacks(job.name or name, job),
        )
        trainer.remove_callback(PrinterCallback)
        # The Trainer prints its own table of metrics.
        nothing = stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(contextlib.redirect_stdout(nothing))
        trainer.train(resume_from_checkpoint=None if job.work is None else last_whole(job.work))
    module.to("cpu").eval()
    return predict(module, encoder, job.valid.inputs)


def predict(module: nn.Module, encoder: TextEncoder, texts: Any) -> NDArray[np.float32]:
    """Probabilities of a module's heads, meaned, `float32[n, k]`; on the CPU."""
    ids = encoder.ids(list(texts))
    order = np.argsort([len(row) for row in ids], kind="stable")
    parts: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for start in range(0, len(ids), 256):
            rows = [ids[place] for place in order[start : start + 256]]
            parts.append(probabilities(module(torch.from_numpy(encoder.matrix(rows)))).numpy())
    out = np.empty((len(ids), parts[0].shape[1]), np.float32)
    out[order] = np.concatenate(parts)
    return out


def _callbacks(name: str, job: Job) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [Progress(name, job.curve, job.settings.epochs)]
    if job.work is not None:
        callbacks = [EarlyStoppingCallback(job.settings.patience), *callbacks, MarkWhole()]
    return callbacks


def _loss(job: Job, mutual: float) -> Callable[..., Tensor]:
    settings, teacher = job.settings, job.teacher
    weight = class_weights(job.train.y, job.classes, settings.class_weights)

    def loss(outputs: dict[str, Tensor], y: Tensor, **_: Any) -> Tensor:
        taught = None
        if teacher is not None and SOFT in outputs:  # valid is measured by its labels alone
            taught = Taught(outputs[SOFT], teacher.temperature, teacher.weight)
        return heads_loss(
            outputs["heads"],
            y,
            weight=weight,
            smoothing=settings.label_smoothing,
            mutual=mutual,
            taught=taught,
        )

    return loss


def _scores(prediction: EvalPrediction) -> dict[str, float]:
    heads = torch.from_numpy(np.asarray(prediction.predictions))
    found = probabilities(heads).numpy().argmax(1)
    return scores(np.asarray(prediction.label_ids), found, heads.shape[-1])
