"""Which service of the project a command is about, and what all of them share."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from openautoglm.config.project import Project
from openautoglm.deploy.desired import read_desired
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.known import service_folders
from openautoglm.errors import ArtifactError, ConfigError


def services(project: Project) -> list[ServiceFolder]:
    """Those of which anything is here but the ledger, by name; a canary's is nobody's.

    A service whose delete was cut off is among them, so that it can be deleted again.
    """
    return [folder for folder in _there(project) if not _is_canary(folder)]


def one_service(project: Project, name: str | None, *, deleted: bool = False) -> ServiceFolder:
    """The named service, or the only one.

    Args:
        project: Whose.
        name: Of the service; None when there is no other.
        deleted: One of which only the ledger is left will do: by its name, or when no other is
            there.

    Raises:
        ConfigError: There is none, or none of this name, or several and no name.
    """
    known = services(project) if name is None else _there(project)
    if deleted and (name is not None or not known):
        known = [folder for folder in service_folders(project) if any(folder.root.iterdir())]
    names = ", ".join(folder.name for folder in known)
    if not known:
        raise ConfigError(
            "nothing is deployed here",
            where=str(project.root),
            hint="openautoglm deploy -c config.yaml",
        )
    if name is None and len(known) > 1:
        raise ConfigError("there are several services", allowed=names, hint="name one of them")
    for folder in known:
        if name in (None, folder.name):
            return folder
    raise ConfigError(f"no service is called `{name}`", allowed=names)


def decided_by() -> str:
    """Who decides with this command, for the ledger."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "somebody"
    return f"{user}: {' '.join(['openautoglm', *sys.argv[1:]])}"


def _there(project: Project) -> list[ServiceFolder]:
    return [
        folder for folder in service_folders(project) if any(map(_is_left, folder.root.iterdir()))
    ]


def _is_canary(folder: ServiceFolder) -> bool:
    """Whether it is there for a minute, and ends by itself."""
    try:
        desired = read_desired(folder.desired)
    except ArtifactError:
        return False
    return desired is not None and not desired.settles


def _is_left(path: Path) -> bool:
    return path.name != "ledger.jsonl"
