"""The services of a project, and the models they name."""

from __future__ import annotations

from openautoglm.config.project import Project
from openautoglm.deploy.found import SCHEME
from openautoglm.deploy.ledger import last, named_digests
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say


def service_folders(project: Project) -> list[ServiceFolder]:
    """Of every service there is or was, by name."""
    root = project.state / "services"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return [ServiceFolder(project, name) for name in names]


def serving(project: Project, model: str, *, besides: str) -> list[str]:
    """Names of the services whose champion is a version of a registered model.

    Args:
        project: Whose.
        model: Its registered name.
        besides: A service that does not count.

    Raises:
        ArtifactError: A ledger cannot be read: then nobody knows what its service serves.
    """
    found = []
    for folder in service_folders(project):
        record = last(folder.ledger) if folder.name != besides else None
        if record and record.releases["champion"].origin.startswith(f"{SCHEME}{model}/"):
            found.append(folder.name)
    return found


def sweep(project: Project, *, tell: bool = True) -> None:
    """Remove models that no ledger names; where one cannot be read, nothing is removed.

    Args:
        project: Whose.
        tell: Whether to say which.
    """
    ledgers = [folder.ledger for folder in service_folders(project)]
    try:
        for digest in ModelStore(project).sweep(lambda: named_digests(ledgers)):
            if tell:
                say(f"{digest[:19]} is served by nobody: removed from the model store")
    except ArtifactError as error:
        say(f"the model store was not tidied: {error.what} ({error.where})")
