"""The two families by their names in `model.families`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openautoglm.training import glm, pretrained, scratch
from openautoglm.training.job import Job, Restored


def fit(name: str, job: Job, out: Path) -> NDArray[np.float32]:
    """Fit one family into the folder `out`.

    Returns:
        Probabilities of the framework on valid, `float32[n, k]`.

    Raises:
        SourceError: `model.base` cannot be read.
        ConfigError: A setting cannot be had on this machine.
    """
    if name == "glm":
        return glm.fit(job, out)
    return scratch.fit(job, out) if job.model.base is None else pretrained.fit(job, out)


def restore(name: str, folder: Path) -> Restored:
    """Read what `fit` wrote into `folder`."""
    if name == "glm":
        return glm.restore(folder)
    is_scratch = (folder / scratch.SHAPE).is_file()
    return scratch.restore(folder) if is_scratch else pretrained.restore(folder)
