"""The Trainer's arguments, from our settings."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import TrainingArguments

from openautoglm.errors import ConfigError
from openautoglm.training.job import Job


def arguments(job: Job, work: Path) -> TrainingArguments:
    """What the Trainer is told.

    Args:
        job: Its settings; without a work folder of its own nothing is saved.
        work: Where the Trainer may write.

    Raises:
        ConfigError: The precision, or the batch's share of each device, cannot be had.
    """
    settings, saves = job.settings, job.work is not None
    cuda = job.device != "cpu" and torch.cuda.is_available()
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
    found = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=settings.batch_size // world,
        per_device_eval_batch_size=256,
        num_train_epochs=settings.epochs,
        learning_rate=settings.lr,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        eval_strategy="epoch",
        save_strategy="epoch" if saves else "no",
        logging_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=saves,
        metric_for_best_model="macro_f1" if saves else None,
        greater_is_better=True if saves else None,
        restore_callback_states_from_checkpoint=saves,
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
    if cuda:
        # One device a process: the Trainer would copy the module to every device it sees.
        assert found.device.type == "cuda"
        found._n_gpu = 1
    return found
