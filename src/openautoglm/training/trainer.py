"""Gradient training of a text classifier with `transformers.Trainer`.

Early stopping on macro F1 of valid, a checkpoint an epoch, and resumption from the last whole
one: the same bytes as without the interruption.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
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
    TrainingArguments,
)
from transformers.utils import logging

from openautoglm.config.training import TrainSettings
from openautoglm.errors import ConfigError
from openautoglm.statistics.classification import Labels, scores
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.checkpoints import MarkWhole, last_whole
from openautoglm.training.job import Job, Rows
from openautoglm.training.launch import processes
from openautoglm.training.loss import class_weights, heads_loss, probabilities
from openautoglm.training.optimizer import table_optimizer
from openautoglm.training.progress import Progress

_MAX_NORM = 1.0


class _Outputs(nn.Module):
    """Gives the Trainer a mapping, which it can tell from a tuple of losses."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        return {"heads": self.module(ids)}


class _EncodedRows(torch.utils.data.Dataset[tuple[list[int], int]]):
    def __init__(self, ids: Sequence[list[int]], y: Labels) -> None:
        self._ids = ids
        self._y = y.tolist()

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, place: int) -> tuple[list[int], int]:
        return self._ids[place], self._y[place]


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
    """Fit `module` in place to its best epoch.

    Args:
        name: For progress lines and curves.
        module: From ids `int64[rows, length]` to logits `[rows, heads, classes]`.
        encoder: Texts to ids.
        job: Rows, settings, work folder.
        tables: The module's hashed tables; their gradients are sparse in a single process.
        table_lr: Their peak learning rate.
        mutual: See `heads_loss`.

    Returns:
        Probabilities on valid, `float32[n, k]`.

    Raises:
        ConfigError: The precision cannot be had on this device.
    """
    settings = job.settings
    arguments = _arguments(settings, job.work, job.device)
    logging.set_verbosity_error()
    loss = partial(
        heads_loss,
        weight=class_weights(job.train.y, job.classes, settings.class_weights),
        smoothing=settings.label_smoothing,
        mutual=mutual,
    )
    trainer = _ClassifierTrainer(
        _Outputs(module),
        arguments,
        tables=tables,
        table_lr=table_lr,
        data_collator=lambda rows: {
            "ids": torch.from_numpy(encoder.matrix([ids for ids, _ in rows])),
            "labels": torch.tensor([y for _, y in rows]),
        },
        train_dataset=_rows(encoder, job.train),
        eval_dataset=_rows(encoder, job.valid),
        compute_metrics=_scores,
        compute_loss_func=lambda outputs, y, **_: loss(outputs["heads"], y),
        callbacks=[
            EarlyStoppingCallback(settings.patience),
            Progress(name, job.curve, settings.epochs),
            MarkWhole(),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    # The Trainer prints its own table of metrics.
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
        trainer.train(resume_from_checkpoint=last_whole(job.work))
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


def _arguments(settings: TrainSettings, work: Path, device: str) -> TrainingArguments:
    cuda = device != "cpu" and torch.cuda.is_available()
    if settings.precision == "fp16" and not cuda:
        raise ConfigError(
            "fp16 training needs a CUDA device, and torch sees none",
            where="params.yaml, key train.precision",
            allowed="fp32, bf16",
        )
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if settings.batch_size % world:
        raise ConfigError(
            f"a batch of {settings.batch_size} rows cannot be shared by {world} devices",
            where="params.yaml, key train.batch_size",
            allowed=f"a multiple of {world}",
        )
    return TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=settings.batch_size // world,
        per_device_eval_batch_size=256,
        num_train_epochs=settings.epochs,
        learning_rate=settings.lr,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        max_grad_norm=_MAX_NORM,
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=not cuda,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        label_names=["labels"],
        average_tokens_across_devices=False,
        dataloader_pin_memory=cuda,
    )


def _rows(encoder: TextEncoder, rows: Rows) -> _EncodedRows:
    return _EncodedRows(encoder.ids([str(text) for text in rows.inputs]), rows.y)


def _scores(prediction: EvalPrediction) -> dict[str, float]:
    heads = torch.from_numpy(np.asarray(prediction.predictions))
    found = probabilities(heads).numpy().argmax(1)
    return scores(np.asarray(prediction.label_ids), found, heads.shape[-1])
