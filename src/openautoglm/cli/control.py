"""`openautoglm control`: a service's controller, with whoever decides on its traffic."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from openautoglm.config.project import Project
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.life import run
from openautoglm.rollout.live import LiveRollout


def control(root: Path, name: str) -> None:
    """Tick until SIGTERM or SIGINT.

    Args:
        root: The project.
        name: The service.
    """
    folder = ServiceFolder(Project(root), name)
    with closing(LiveRollout(folder)) as rollout:
        run(folder, rollout)
