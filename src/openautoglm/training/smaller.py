"""Networks smaller than the candidate: cut from it, or taught by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from openautoglm.config.compression import CompressSettings
from openautoglm.config.search import changed
from openautoglm.config.training import TrainSettings
from openautoglm.errors import StepError
from openautoglm.training.blocks import blocks
from openautoglm.training.devices import threads
from openautoglm.training.families import fit, prune, restore
from openautoglm.training.job import Job, Teacher

_RECOVERY = 3e-4
_SHAPE = ("dim", "layers", "heads", "hidden", "buckets")


@dataclass(frozen=True)
class Smaller:
    """Makes smaller networks.

    Attributes:
        job: Rows and settings of train; its work folder and teacher do not matter.
        candidate: Family name of the candidate.
        folders: Where train has put each family.
        is_base: Whether the candidate was fine-tuned, so that its rate is train's.
        settings: Of compress.
        teacher: Probabilities on train `float32[n, k]` of the candidate, or of the mean of all
            families, by name; called when a student needs them.
    """

    job: Job
    candidate: str
    folders: Mapping[str, Path]
    is_base: bool
    settings: CompressSettings
    teacher: Callable[[str], NDArray[np.float32]]

    def prune(self, values: Mapping[str, Any], out: Path) -> None:
        """Write the candidate with fewer heads and feed-forward rows to the folder `out`.

        Args:
            values: What differs from `compress.prune`.
            out: An empty folder.

        Raises:
            StepError: It has no layers that can be cut.
        """
        how = changed(self.settings.prune, values)
        lr = how.lr or (self.job.settings.lr if self.is_base else _RECOVERY)
        train = self._train({"lr": lr, "epochs": max(1, how.epochs)})
        if how.epochs == 0:
            train = train.model_copy(update={"epochs": 0})  # which no one may set for a training
        job = self._job(train, "pruned")
        with threads(self.settings.threads):
            prune(
                self.candidate,
                self.folders[self.candidate],
                job,
                heads=how.heads,
                hidden=how.hidden,
                out=out,
            )

    def uncuttable(self) -> str | None:
        """Why the candidate cannot be pruned; None when it can."""
        if self.candidate == "glm":
            return "the candidate is a glm, which has no heads to cut"
        network = restore(self.candidate, self.folders[self.candidate]).module.heads
        assert isinstance(network, nn.Module)
        try:
            blocks(network)
        except StepError as error:
            return error.what
        return None

    def distil(self, values: Mapping[str, Any], out: Path) -> None:
        """Write a student, trained from scratch on what its teacher says, to the folder `out`.

        Args:
            values: What differs from `compress.distill`.
            out: An empty folder.
        """
        how = changed(self.settings.distill, values)
        shape = {f"transformer.{key}": getattr(how, key) for key in _SHAPE}
        own = {"lr": how.lr, "epochs": how.epochs, "batch_size": how.batch_size}
        taught = Teacher(
            self.teacher(how.teacher), how.temperature, how.weight, self._teachers(how.teacher)
        )
        job = replace(self._job(self._train(own | shape), "distilled"), teacher=taught, base=None)
        with threads(self.settings.threads):
            fit("transformer", job, out)

    def _teachers(self, who: str) -> Mapping[str, Path]:
        """Whose tables a student starts from."""
        return (
            {self.candidate: self.folders[self.candidate]} if who == "candidate" else self.folders
        )

    def _train(self, values: Mapping[str, Any]) -> TrainSettings:
        own = {"seed": self.settings.seed, "threads": self.settings.threads}
        return changed(self.job.settings, {**own, **values})

    def _job(self, train: TrainSettings, name: str) -> Job:
        return replace(self.job, settings=train, work=None, name=name)
