"""The two families by their names in `model.families`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openautoglm.training import glm, pretrained, scratch
from openautoglm.training.job import VALID, Job, Restored
from openautoglm.training.launch import devices_of, fit_in_processes, is_first, processes


def fit(name: str, job: Job, out: Path) -> None:
    """Fit one family into the folder `out`, with its probabilities on valid in `VALID`.

    A transformer uses every CUDA device that torch sees.

    Raises:
        SourceError: `model.base` cannot be read.
        ConfigError: A setting cannot be had on this machine.
        StepError: One of several processes failed.
    """
    if name == "glm":
        np.save(out / VALID, glm.fit(job, out))
        return
    if processes() == 1 and (count := devices_of(job)) > 1:
        fit_in_processes(name, job, out, count)
        return
    family = scratch if job.base is None else pretrained
    proba = family.fit(job, out)
    if is_first():
        np.save(out / VALID, proba)


def restore(name: str, folder: Path) -> Restored:
    """Read what `fit` wrote into `folder`."""
    if name == "glm":
        return glm.restore(folder)
    is_scratch = (folder / scratch.SHAPE).is_file()
    return scratch.restore(folder) if is_scratch else pretrained.restore(folder)
