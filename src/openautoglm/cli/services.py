"""Which service of the project a command is about."""

from __future__ import annotations

import getpass
import sys

from openautoglm.config.project import Project
from openautoglm.deploy.ledger import last
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import ConfigError


def services(project: Project) -> list[ServiceFolder]:
    """Those that were deployed and not deleted, by name."""
    root = project.state / "services"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = [ServiceFolder(project, name) for name in names]
    return [folder for folder in found if folder.desired.is_file() or last(folder.ledger)]


def one_service(project: Project, name: str | None) -> ServiceFolder:
    """The named service, or the only one.

    Raises:
        ConfigError: There is none, or none of this name, or several and no name.
    """
    known = services(project)
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
