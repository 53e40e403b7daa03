"""`openautoglm tidy`: what a killed command left, so that the next one can begin."""

from __future__ import annotations

from openautoglm.artifacts.folder import remove_all_stale, remove_stale
from openautoglm.config.project import Project
from openautoglm.data.locks import remove_broken
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.catalog import STEPS


def tidy(project: Project) -> None:
    """Remove half-written folders, and files of DVC's own that were cut off.

    Finished work of a killed step stays: the next attempt takes it up.

    Raises:
        BusyError: DVC is at work here.
    """
    working_on("tidy")
    for step in STEPS.values():
        remove_stale(project.root / step.out)
    remove_all_stale(project.work)
    for sentence in remove_broken(project.root):
        say(sentence)
