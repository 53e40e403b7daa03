"""One of several processes that train a model together; see `launch.fit_in_processes`."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import torch

from openautoglm.observability.progress import working_on
from openautoglm.training.families import fit
from openautoglm.training.job import Job
from openautoglm.training.launch import CURVE, die_with_parent


def main(name: str, file: Path, out: Path) -> None:
    """Fit the pickled job (written by our own parent a moment ago) into `out`."""
    die_with_parent()
    working_on("train")
    job: Job = pickle.loads(file.read_bytes())  # noqa: S301
    torch.set_num_threads(job.settings.threads)
    fit(name, replace(job, curve=_tell), out)


def _tell(metrics: dict[str, float], step: int) -> None:
    sys.__stdout__.write(CURVE + json.dumps([metrics, step]) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
