"""Small jobs for the training room."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openautoglm.config.training import TrainSettings
from openautoglm.training.base import Base
from openautoglm.training.job import Job, Rows
from tests.support.project import TOPICS, rows

SMALL = {
    "threads": 1,
    "epochs": 2,
    "batch_size": 32,
    "max_length": 32,
    "transformer": {"dim": 16, "hidden": 32, "heads": 2, "layers": 1, "buckets": 2048},
    "glm": {"buckets": 4096},
}


def text_rows(count: int, seed: int = 0) -> Rows:
    data = rows(count, seed)
    labels = sorted(TOPICS)
    y = np.array([labels.index(label) for _, label in data], np.int64)
    return Rows([text for text, _ in data], y)


def job(work: Path | None, base: Base | None = None, **settings: object) -> Job:
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    return Job(
        train=text_rows(300),
        valid=text_rows(80, seed=1),
        classes=len(TOPICS),
        features=None,
        base=base,
        settings=TrainSettings.model_validate(SMALL | settings, strict=False),
        work=work,
        device="cpu",
        curve=lambda metrics, step: None,
    )
