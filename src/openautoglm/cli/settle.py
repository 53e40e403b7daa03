"""`openautoglm rollout settle`: MLflow follows the ledger."""

from __future__ import annotations

import json

from openautoglm.artifacts.folder import write_text
from openautoglm.artifacts.lock import in_turn
from openautoglm.deploy.found import SCHEME
from openautoglm.deploy.ledger import read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.observability.progress import say
from openautoglm.rollout import series
from openautoglm.rollout.course import records_of
from openautoglm.rollout.settling import promoted, since_delete

_SETTLED = "settled.json"
_ALIAS = "champion"


def settle(folder: ServiceFolder) -> None:
    """Move the alias where it belongs, then write the runs of each rollout that MLflow lacks.

    Args:
        folder: The service's.

    Raises:
        StoreError: MLflow does not answer: again later.
    """
    follow(folder)
    records, done = since_delete(read(folder.ledger)), _settled(folder)
    for number in sorted({record.rollout.id for record in records if record.rollout}):
        own = records_of(records, number)
        if done.get(str(number)) == own[-1].time:
            continue
        # Of what deploy does, too, it needs neither MLflow nor plots.
        from openautoglm.registry.tracker import tracker_of
        from openautoglm.rollout.published import publish

        points = series.read(series.file_of(folder.root, number))
        publish(tracker_of(folder.project), folder.name, own, points)
        _note(folder, str(number), own[-1].time)


def _settled(folder: ServiceFolder) -> dict[str, str]:
    """Times of records that MLflow has: the last one by rollout, and the promotion it followed."""
    file = folder.root / _SETTLED
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(folder: ServiceFolder, what: str, time: str) -> None:
    write_text(folder.root / _SETTLED, json.dumps(_settled(folder) | {what: time}) + "\n")


def follow(folder: ServiceFolder) -> bool:
    """Move the alias `champion` to what the last rollout promoted, while that serves.

    Returns:
        Whether anything had to be done.

    Raises:
        StoreError: The registry does not answer.
    """
    found = promoted(since_delete(read(folder.ledger)))
    if found is None or not found.release.origin.startswith(SCHEME):
        return False
    if _settled(folder).get(_ALIAS) == found.time:  # once: it is anybody's afterwards
        return False
    from openautoglm.registry.store import open_store
    from openautoglm.registry.versions import follow_promotion

    model, _, number = found.release.origin.removeprefix(SCHEME).rpartition("/")
    with in_turn(folder.project.effects_lock):
        moved = follow_promotion(open_store(folder.project), model, number)
    _note(folder, _ALIAS, found.time)
    if moved:
        say(f"{model}: version {number} is the champion, as rollout {found.id} decided")
    return moved
