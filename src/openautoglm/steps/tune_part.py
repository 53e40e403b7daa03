"""One of several workers that share the search of tune."""

from __future__ import annotations

import multiprocessing
import shutil
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from openautoglm.artifacts.lock import exclusive
from openautoglm.config.params import TuneParams
from openautoglm.errors import ConfigError
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.attempt import attempt_at
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.trials import Fit, search_of
from openautoglm.tuning.search import search
from openautoglm.tuning.space import Point
from openautoglm.tuning.trials import Report


def take_part(*, prepared: Path, params: TuneParams, runtime: Runtime, worker: int) -> int:
    """Take part in the search of tune until all of its trials are finished.

    Its trials are in the store of `Runtime.study`, where tune finds them; nothing else stays. A
    worker that is killed loses the trial it was at, which another one runs.

    Args:
        prepared: The folder of prepare.
        params: What tune sees.
        runtime: Workers that share its work folder do not get into each other's way.
        worker: Which worker, from 0.

    Returns:
        How many trials were begun here.

    Raises:
        ArtifactError: The input folder is missing or is not what its manifest says.
        BusyError: The same worker is at work in this project.
        ConfigError: There is no `Runtime.study`, a setting does not fit the data or cannot be
            had on this machine.
        SourceError: `model.base` cannot be read.
        StoreError: The store cannot be used.
    """
    name = f"tune-{worker + 1}"
    working_on(name)
    if runtime.study is None:
        raise ConfigError(
            "a worker of tune has no store of trials that it shares with the others",
            where="environment variable OPENAUTOGLM_STUDY",
            allowed="an SQLAlchemy URL that all workers reach, such as "
            "postgresql://USER:PASSWORD@HOST/DATABASE",
            hint="set it, or fan_out.tune: 1 in pipelines/settings.yaml",
        )
    attempt = attempt_at(STEPS["tune"].module, {"prepared": prepared}, params)
    # The step's own lock keeps two processes from one folder; each worker has its own.
    with exclusive(runtime.work / f"{name}.lock"):
        work = runtime.work / name / attempt.digest
        work.mkdir(parents=True, exist_ok=True)
        begun = _search(prepared, params, runtime.inside(work), name)
        shutil.rmtree(runtime.work / name)
    say(f"the search is finished; {begun} of its trials were begun here")
    return begun


def _search(prepared: Path, params: TuneParams, runtime: Runtime, name: str) -> int:
    found = search_of(prepared, params, runtime)
    if found.plan is None:
        return 0
    counted = _Counted(found.objective, multiprocessing.get_context("spawn").Value("i", 0))
    search(counted, found.space, found.plan, found.storage, workers=runtime.workers, step=name)
    return counted.begun.value


@dataclass
class _Counted:
    """Counts the trials of this process and of those that it starts."""

    objective: Fit
    begun: Synchronized[int]

    def __call__(self, point: Point, report: Report) -> tuple[float, ...]:
        with self.begun.get_lock():
            self.begun.value += 1
        return self.objective(point, report)
