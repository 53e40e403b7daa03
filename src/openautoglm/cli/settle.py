"""`openautoglm rollout settle`: MLflow follows the ledger."""

from __future__ import annotations

import json
from pathlib import Path

from openautoglm.artifacts.folder import write_text
from openautoglm.artifacts.lock import in_turn
from openautoglm.deploy.found import SCHEME
from openautoglm.deploy.ledger import read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.observability.progress import say
from openautoglm.rollout import series
from openautoglm.rollout.course import records_of
from openautoglm.rollout.live import series_file
from openautoglm.rollout.settling import promoted

_PUBLISHED = "published.json"


def settle(folder: ServiceFolder) -> None:
    """Move the alias where it belongs, then write the runs of each rollout that MLflow lacks.

    Args:
        folder: The service's.

    Raises:
        StoreError: MLflow does not answer: again later.
    """
    follow(folder)
    records, file = read(folder.ledger), series_file(folder.root, 0).with_name(_PUBLISHED)
    done = _published(file)
    for number in sorted({record.rollout.id for record in records if record.rollout}):
        own = records_of(records, number)
        if done.get(str(number)) == own[-1].time:
            continue
        # Of what deploy does, too, it needs neither MLflow nor plots.
        from openautoglm.registry.tracker import tracker_of
        from openautoglm.rollout.published import publish

        points = series.read(series_file(folder.root, number))
        publish(tracker_of(folder.project), folder.name, own, points)
        done[str(number)] = own[-1].time
        file.parent.mkdir(exist_ok=True)  # one that ended before its first point has none
        write_text(file, json.dumps(done) + "\n")


def _published(file: Path) -> dict[str, str]:
    """By rollout, the time of the last record that MLflow has; written again without the file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def follow(folder: ServiceFolder) -> bool:
    """Move the alias `champion` to what the last rollout promoted, while that serves.

    Returns:
        Whether anything had to be done.

    Raises:
        StoreError: The registry does not answer.
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
