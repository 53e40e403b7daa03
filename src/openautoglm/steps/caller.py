"""What the callers of a step share: a command, a component and a test are thin beside it.

No step imports this, so that a change of the tracker is no change of every step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.observability.collector import importing
from openautoglm.steps.runtime import Runtime

if TYPE_CHECKING:
    from openautoglm.observability.tracking import TrackedRun
    from openautoglm.steps.catalog import Step


def run_step(project: Project, step: Step, folders: Mapping[str, Path], out: Path) -> None:
    """Call a step with the parameters of the project's `params.yaml`."""
    from openautoglm.config.params import Params, view
    from openautoglm.config.yaml import load

    params = view(load(project.params_file, Params), step.params)
    step.function(**folders, params=params, runtime=runtime_of(project), out=out)


def runtime_of(project: Project) -> Runtime:
    """The runtime of a project: its work folder, its tracking store, any device there is.

    `OPENAUTOGLM_WORKERS` and `OPENAUTOGLM_STUDY` say how a search is shared; no result depends
    on them, so they are no parameters.

    Raises:
        ConfigError: `OPENAUTOGLM_WORKERS` is no count.
    """
    return Runtime(
        work=project.work,
        project=project.root,
        tracker=_ProjectTracker(project),
        workers=_workers(),
        study=os.environ.get("OPENAUTOGLM_STUDY") or None,
    )


def _workers() -> int:
    given = os.environ.get("OPENAUTOGLM_WORKERS") or "1"
    if not given.isdecimal() or not int(given):
        raise ConfigError(
            f"found `{given}`",
            where="environment variable OPENAUTOGLM_WORKERS",
            allowed="a whole number of processes, at least 1",
        )
    return int(given)


class _ProjectTracker:
    """The project's MLflow, imported when the first run is opened: most steps open none."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @contextmanager
    def run(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        with importing():
            from openautoglm.registry.tracker import tracker_of

        with tracker_of(self._project).run(name, key=key, tags=tags) as run:
            yield run
