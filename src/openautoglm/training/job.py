"""What a family is given to fit, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
class Job:
    """One fit.

    Attributes:
        train: Rows to fit.
        valid: Rows for early stopping and for the choice between families.
        classes: Number of classes.
        features: Names of the numeric columns; None for texts.
        base: What to fine-tune; None trains from scratch.
        settings: The `train` section.
        work: Checkpoints of this fit; survives a kill.
        device: `auto`, `cpu` or `cuda`.
        curve: Called with metrics and the step they belong to.
    """

    train: Rows
    valid: Rows
    classes: int
    features: tuple[str, ...] | None
    base: Base | None
    settings: TrainSettings
    work: Path
    device: str
    curve: Curve


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
