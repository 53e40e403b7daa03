"""Whether a service is at home in its folder: neither deleted, nor a copy of another folder's.

What the files of a copy name (processes, sockets, ports) is the other service's. A project that
was moved while it served is no copy: its processes still hold the locks there.
"""

from __future__ import annotations

import shutil

from openautoglm.artifacts.folder import write_text
from openautoglm.deploy.ledger import read
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import ArtifactError, DeployError


def copied_from(folder: ServiceFolder) -> str | None:
    """Where the service lives that a folder is a copy of; None of one that is no copy."""
    try:
        origin = folder.origin.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    if origin == str(folder.root):
        return None
    held = any(keep.holder(lock) is not None for lock in folder.running.glob("*.lock"))
    return None if held else origin


def enter(folder: ServiceFolder) -> None:
    """Make the folders of a service that may have processes, and note that it lives here.

    Raises:
        DeployError: It was deleted, or is a copy.
        StoreError: The folders cannot be made.
    """
    name, deploy = folder.name, "openautoglm deploy -c config.yaml"
    if _is_deleted(folder):
        raise DeployError(f"{name} was deleted", where=str(folder.root), hint=deploy)
    if origin := copied_from(folder):
        raise DeployError(
            f"{name} does not run here: this is a copy of {origin}",
            where=str(folder.root),
            hint=f"{deploy}, with another `gateway.port` while the other one serves",
        )
    _settle(folder)


def clear(folder: ServiceFolder) -> None:
    """Take out of a copy what tells of processes; what was decided stays. Then it is none."""
    for path in (folder.units, folder.supervisor_conf, folder.status):
        path.unlink(missing_ok=True)
    for path in (folder.running, folder.envoy):
        shutil.rmtree(path, ignore_errors=True)
    _settle(folder)


def _settle(folder: ServiceFolder) -> None:
    folder.make()
    here = str(folder.root)
    if not folder.origin.is_file() or folder.origin.read_text(encoding="utf-8") != here:
        write_text(folder.origin, here)


def _is_deleted(folder: ServiceFolder) -> bool:
    try:
        records = read(folder.ledger)
    except ArtifactError:  # what runs goes on; whoever decides is told
        return False
    return bool(records) and records[-1].kind == "delete"
