"""`openautoglm delete`: a service ends, and leaves nothing but its ledger."""

from __future__ import annotations

from openautoglm.artifacts.lock import exclusive
from openautoglm.cli.services import decided_by
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.apply import take_down
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.known import sweep


def delete(folder: ServiceFolder) -> None:
    """End a service, and remove models from the store that no service serves.

    Args:
        folder: The service's.

    Raises:
        BusyError: Another command is at work on it.
    """
    with exclusive(folder.lock):
        take_down(folder, Record(kind="delete", by=decided_by()))
    sweep(folder.project)
    print(f"{folder.name} is deleted; what was decided about it stays in {folder.ledger}")
