"""`openautoglm rollout settle`: the registry follows the ledger."""

from __future__ import annotations

from openautoglm.artifacts.lock import in_turn
from openautoglm.deploy.found import SCHEME
from openautoglm.deploy.ledger import read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.observability.progress import say
from openautoglm.rollout.settling import promoted


def settle(folder: ServiceFolder) -> bool:
    """Move the alias `champion` to what the last rollout promoted, while that serves.

    Args:
        folder: The service's.

    Returns:
        Whether anything had to be done.

    Raises:
        StoreError: The registry does not answer: again later.
    """
    found = promoted(read(folder.ledger))
    if found is None or not found.release.origin.startswith(SCHEME):
        return False
    from openautoglm.registry.store import open_store
    from openautoglm.registry.versions import follow_promotion

    model, _, number = found.release.origin.removeprefix(SCHEME).rpartition("/")
    with in_turn(folder.project.effects_lock):
        moved = follow_promotion(open_store(folder.project), model, number)
    if moved:
        say(f"{model}: version {number} is the champion, as rollout {found.id} decided")
    return moved
