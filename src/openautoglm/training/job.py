"""What a family is given to fit, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from openautoglm.config.training import TrainSettings
from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.statistics.classification import Labels
from openautoglm.training.base import Base

VALID = "valid.npy"
"""A family's probabilities on valid, `float32[n, k]`: what its graphs are held against."""
Inputs = Sequence[str] | NDArray[np.float64]
Curve = Callable[[dict[str, float], int], None]


@dataclass(frozen=True)
class Rows:
    """Normalised texts or features `[n, d]`, and classes `int64[n]`."""

    inputs: Inputs
    y: Labels


@dataclass(frozen=True)
class Teacher:
    """What a teacher says of the rows of train.

    Attributes:
        proba: Its probabilities `float32[n, k]`, in the order of the job's train rows.
        temperature: Softens both sides; 1 leaves the probabilities as they are.
        weight: The teacher's share of the loss, 0 to 1; the rest is the labels'.
        folders: What it consists of: folders of families, by name. A student from scratch starts
            from the tables that it finds in them.
    """

    proba: NDArray[np.float32]
    temperature: float
    weight: float
    folders: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes:
        train: Rows to fit.
        valid: Rows for early stopping and for the choice between families.
        classes: Number of classes.
        features: Names of the numeric columns; None for texts.
        base: What to fine-tune; None trains from scratch.
        settings: The `train` section.
        work: Checkpoints of this fit; survives a kill. None for a short fit: one device, no
            checkpoints, and the weights are those of the last epoch, not of the best.
        device: `auto`, `cpu` or `cuda`.
        curve: Called with metrics and the step they belong to; what it raises ends the fit.
        teacher: Whom to learn from beside the labels.
        name: For progress lines and curves; None: the family's.
    """

    train: Rows
    valid: Rows
    classes: int
    features: tuple[str, ...] | None
    base: Base | None
    settings: TrainSettings
    work: Path | None
    device: str
    curve: Curve
    teacher: Teacher | None = None
    name: str | None = None


@dataclass(frozen=True)
class Restored:
    """A fitted family, ready for export.

    Attributes:
        module: From the graph's input to probabilities `float32[rows, k]`, in eval mode.
        example: An input of the module, each free dimension larger than 1.
        input: What the graph takes; the tokenizer's path is relative to the family's folder.
    """

    module: torch.nn.Module
    example: torch.Tensor
    input: TextInput | NumericInput
