"""What a person sees of gradient training: lines as it goes, and curves."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from openautoglm.observability.progress import say
from openautoglm.training.job import Curve

_SECONDS_BETWEEN_LINES = 15


class Progress(TrainerCallback):  # type: ignore[misc]
    """A line an epoch and, in long ones, a line now and then; curves for the tracker.

    Args:
        name: What is trained.
        curve: Called with metrics and the step they belong to.
        epochs: How many there are at most.
    """

    def __init__(self, name: str, curve: Curve, epochs: int) -> None:
        self._name = name
        self._curve = curve
        self._epochs = epochs
        self._line = time.monotonic()
        self._start = time.monotonic()
        self._loss = float("nan")

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start the epoch's clock."""
        self._start = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Say how far it is, where an epoch is long."""
        if not state.is_world_process_zero:
            return
        if time.monotonic() - self._line > _SECONDS_BETWEEN_LINES:
            self._line = time.monotonic()
            say(f"{self._name}: epoch {state.epoch:.1f} of {self._epochs}")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: Any,
    ) -> None:
        """Log points of the curves."""
        self._loss = logs.get("loss", self._loss)
        wanted = {
            "loss": "train_loss",
            "learning_rate": "learning_rate",
            "eval_loss": "valid_loss",
            "eval_macro_f1": "valid_macro_f1",
            "eval_accuracy": "valid_accuracy",
        }
        found = {f"{self._name}.{wanted[key]}": logs[key] for key in wanted if key in logs}
        if found and state.is_world_process_zero:
            self._curve(found, state.global_step)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        """Say how good the epoch has made it."""
        if state.is_world_process_zero:
            self._line = time.monotonic()
            say(
                f"{self._name}: epoch {round(state.epoch or 0)} of {self._epochs}, loss "
                f"{self._loss:.3f}, macro F1 {metrics['eval_macro_f1']:.4f} on valid, "
                f"{time.monotonic() - self._start:.0f} s"
            )
