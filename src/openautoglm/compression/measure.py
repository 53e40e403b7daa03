"""How good and how large a variant is, and how far it is from its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from openautoglm.compression.agreement import agreement, odd_inputs
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.operations import operations
from openautoglm.compression.recipe import Batch
from openautoglm.config.compression import Precision
from openautoglm.errors import StepError
from openautoglm.inference.model import open_model
from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.statistics.classification import Labels, scores
from openautoglm.text.normalise import normalise
from openautoglm.text.tokenise import TextEncoder

Inputs = Sequence[str] | NDArray[Any]
Proba = NDArray[np.float32]
Taken = TextInput | NumericInput
_BATCH = 32


@dataclass(frozen=True)
class Ground:
    """What variants are measured on.

    Attributes:
        labels: Class names.
        inputs: Rows of valid.
        y: Their classes, `int64[n]`.
        calibration: Rows of train that some recipes look at.
        threads: CPU threads.
        max_difference: Largest probability difference of an fp32 graph to its module.
        seed: Seed of the odd inputs.
    """

    labels: tuple[str, ...]
    inputs: Inputs
    y: Labels
    calibration: Inputs
    threads: int
    max_difference: float
    seed: int


class Measured(BaseModel):
    """A variant as it was found; `left_out` says why it cannot be used.

    Attributes:
        bytes: Size of the graph.
        operations: See `openautoglm.compression.operations`, for a text of mean length.
        max_difference: Largest probability difference to its module, on valid.
        odd_difference: The same on odd inputs.
        agreement: Share of valid rows with its module's class.
        macro_f1: On valid.
        accuracy: On valid.
        input: What the graph takes.
        left_out: Why it is no variant; None when it is one.
    """

    # A network that diverged has figures that are no numbers, and is left out for them.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    bytes: int
    operations: int
    max_difference: float
    odd_difference: float
    agreement: float
    macro_f1: float
    accuracy: float
    input: Taken = Field(discriminator="kind")
    left_out: str | None


class Reference:
    """A network as its variants are held against it.

    Args:
        folder: Where its tokenizer lies.
        module: From the graph's input to probabilities.
        taken: What the graph takes.
        valid: The module's probabilities on valid, `float32[n, k]`.
        ground: What is measured on.
    """

    def __init__(
        self, folder: Path, module: torch.nn.Module, taken: Taken, valid: Proba, ground: Ground
    ) -> None:
        self.module = module
        self._folder = folder
        self._taken = taken
        self._valid = valid
        self._ground = ground

    def measure(self, precision: Precision, graph: Path) -> tuple[Measured, Proba]:
        """A variant's figures, and its probabilities on valid `float32[n, k]`.

        Raises:
            StepError: The fp32 graph differs from the module by more than `max_difference`.
        """
        ground = self._ground
        model = open_model(self._folder, graph, self._taken, ground.labels, threads=ground.threads)
        proba = model.predict_proba(ground.inputs)
        near = agreement(proba, self._valid)
        odd = odd_inputs(self._taken, ground.calibration, seed=ground.seed)
        expected = np.concatenate([self._call(rows) for rows in self.batches(odd)])
        far = agreement(model.predict_proba(odd, batch_size=_BATCH), expected)
        quality = scores(ground.y, proba.argmax(1), len(ground.labels))
        measured = Measured(
            bytes=graph.stat().st_size,
            operations=operations(self.module, self._mean_row()),
            # Rounded: the last digits of a difference are no property of the model.
            max_difference=float(f"{near.max_difference:.1e}"),
            odd_difference=float(f"{far.max_difference:.1e}"),
            agreement=near.agreement,
            input=self._taken,
            left_out=_beyond(precision, near.max_difference, far.max_difference, ground),
            **quality,
        )
        return measured, proba

    def batches(self, rows: Inputs) -> list[Batch]:
        """Rows as inputs of the graph, in their order."""
        return batches(self._folder, self._taken, rows, _BATCH)

    def _mean_row(self) -> torch.Tensor:
        """One row, of the mean length of valid."""
        batches = self.batches(self._ground.inputs)
        if isinstance(self._taken, NumericInput):
            return torch.from_numpy(batches[0][:1])
        pad = self._taken.pad_id
        lengths = np.concatenate([(batch != pad).sum(1) for batch in batches])
        other = 1 if pad == 0 else 0
        return torch.full((1, max(1, round(float(lengths.mean())))), other, dtype=torch.int64)

    def _call(self, rows: Batch) -> Proba:
        with torch.no_grad():
            found: Proba = self.module(torch.from_numpy(rows)).numpy()
        return found


def batches(folder: Path, taken: Taken, rows: Inputs, size: int) -> list[Batch]:
    """Rows as inputs of a graph, `int64[size, length]` or `float32[size, d]`, in their order.

    Args:
        folder: What the tokenizer's path is relative to.
        taken: What the graph takes.
        rows: n texts, or features `[n, d]`.
        size: Rows an input; the last may have fewer.
    """
    starts = range(0, len(rows), size)
    if isinstance(taken, NumericInput):
        values = np.asarray(rows, np.float32)
        return [values[start : start + size] for start in starts]
    encoder = TextEncoder.load(
        folder / taken.tokenizer, max_length=taken.max_length, pad_id=taken.pad_id
    )
    ids = encoder.ids([normalise(str(text)) for text in rows])
    return [encoder.matrix(ids[start : start + size]) for start in starts]


def _beyond(precision: Precision, near: float, far: float, ground: Ground) -> str | None:
    """Why a variant differs too much from its network; None when it does not.

    Raises:
        StepError: It is the fp32 graph, which others are measured against.
    """
    recipe = RECIPES[precision]
    bound = ground.max_difference if not recipe.lossy else recipe.bound
    for where, found in (("valid", near), ("odd inputs", far)):
        if not found <= bound:  # so that NaN is beyond, too
            told = f"it differs from the framework by {found:.2e} on {where}, more than {bound:g}"
            if precision == "fp32":
                raise StepError(
                    f"the fp32 graph: {told}", where="params.yaml, key compress.max_difference"
                )
            return told
    return None
