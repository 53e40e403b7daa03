"""Rows as the Trainer takes them: ids, classes and, with a teacher, what it says of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.job import Rows, Teacher
from openautoglm.training.loss import soften

SOFT = "soft"
"""Name of the teacher's softened probabilities in a batch."""
Item = tuple[list[int], int, NDArray[np.float32] | None]


class EncodedRows(torch.utils.data.Dataset[Item]):
    """Texts as ids, each with its class and its teacher's softened probabilities `float32[k]`.

    Args:
        encoder: Texts to ids.
        rows: Texts and classes.
        teacher: What it says of exactly these rows, or None.
    """

    def __init__(self, encoder: TextEncoder, rows: Rows, teacher: Teacher | None = None) -> None:
        self._ids = encoder.ids([str(text) for text in rows.inputs])
        self._y = rows.y.tolist()
        self._soft = None if teacher is None else soften(teacher.proba, teacher.temperature)
        assert self._soft is None or len(self._soft) == len(self._y)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, place: int) -> Item:
        return self._ids[place], self._y[place], None if self._soft is None else self._soft[place]


def collate(encoder: TextEncoder, items: Sequence[Item]) -> dict[str, Tensor]:
    """A batch: `ids` int64[rows, length], `labels` int64[rows], and `SOFT` float32[rows, k]."""
    batch = {
        "ids": torch.from_numpy(encoder.matrix([ids for ids, _, _ in items])),
        "labels": torch.tensor([y for _, y, _ in items]),
    }
    soft = [row for _, _, row in items if row is not None]
    if soft:
        batch[SOFT] = torch.from_numpy(np.stack(soft))
    return batch
