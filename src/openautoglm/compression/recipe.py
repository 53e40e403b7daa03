"""What a recipe is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

Batch = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """A fitted model on its way to a variant.

    Attributes:
        module: From the graph's input to probabilities `float32[rows, k]`, in eval mode.
        example: An input of the module, each free dimension larger than 1.
        fp32: The module as an exported graph; for the recipe `fp32` itself, where it is written.
        calibration: Inputs of the graph from train: `int64[rows, length]`, padded with the pad
            id, or `float32[rows, d]`. What the recipes with calibration look at.
    """

    module: torch.nn.Module
    example: torch.Tensor
    fp32: Path
    calibration: Sequence[Batch]


def always(source: Source) -> str | None:
    """A recipe's `applies` that never refuses."""
    return None


@dataclass(frozen=True)
class Recipe:
    """One way to store a model.

    Attributes:
        build: Writes the variant's graph to a file; the same source gives the same bytes.
        bound: Largest probability difference to the module that the variant may show, on valid
            and on odd inputs.
        lossy: Whether weights are rounded: whether the differences are more than arithmetic in
            another order.
        applies: Why the recipe would change nothing, or nothing for the better, in the graph of
            a source, in words for the user; None when it applies.
    """

    build: Callable[[Source, Path], None]
    bound: float
    lossy: bool
    applies: Callable[[Source], str | None] = always
