"""The two families by their names in `model.families`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openautoglm.errors import StepError
from openautoglm.training import glm, pretrained, pruning, scratch, scratch_folder
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


def prune(
    name: str,
    source: Path,
    job: Job,
    *,
    heads: float,
    hidden: float,
    out: Path,
    rows: int = 256,
) -> None:
    """Cut what `fit` wrote into `source`, let it recover, and write the same kind of folder.

    In one process; see `openautoglm.training.pruning.prune`.

    Raises:
        StepError: It has no encoder layers, or none that we can cut.
        ConfigError: A setting cannot be had on this machine.
    """
    if name == "glm":
        raise StepError(
            "the glm cannot be pruned: it has no encoder layers",
            where="params.yaml, key compress.recipes",
            hint="leave pruned out of compress.recipes",
        )
    fitted = restore(name, source)
    proba = pruning.prune(source, fitted, job, heads=heads, hidden=hidden, rows=rows, out=out)
    np.save(out / VALID, proba)


def restore(name: str, folder: Path) -> Restored:
    """Read what `fit` or `prune` wrote into `folder`."""
    if name == "glm":
        return glm.restore(folder)
    is_scratch = (folder / scratch_folder.SHAPE).is_file()
    return scratch_folder.restore(folder) if is_scratch else pretrained.restore(folder)
