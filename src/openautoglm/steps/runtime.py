"""What a step may use but never depend on: nothing here enters a digest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from openautoglm.observability.tracking import SilentTracker, Tracker

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Runtime:
    """Work folder, tracker and device of one call.

    Attributes:
        work: Where unfinished work (checkpoints, studies) is kept between attempts. A step sees
            a folder of its own in it, named by the digest of inputs, parameters and code.
        project: Relative paths in parameters are relative to this folder.
        tracker: Where curves are logged.
        workers: Processes that share a search; the work of a step that searches.
        study: SQLAlchemy URL of the store that searches share; None keeps one in `work`.
        finished_work: Folders of work that was finished elsewhere, taken up before a step begins.
        device: `auto` takes a CUDA device where there is one. Digests are promised for the same
            machine type, so a device is part of the machine, not of the parameters.
    """

    work: Path
    project: Path
    tracker: Tracker = field(default_factory=SilentTracker)
    workers: int = 1
    study: str | None = None
    finished_work: tuple[Path, ...] = ()
    device: Device = "auto"

    def inside(self, folder: Path) -> Self:
        """The same runtime with another work folder."""
        return replace(self, work=folder)
