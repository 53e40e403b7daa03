"""From the ledger's last record to a goal: which releases, how many replicas of each."""

from __future__ import annotations

import math
from collections.abc import Mapping

from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.converge import Goal
from openautoglm.deploy.release import Role
from openautoglm.routing.routes import Shadow


def counts(record: Record, replicas: int) -> dict[Role, int]:
    """Replicas by role.

    The champion keeps all of its own whatever its weight, so that it can take everything back at
    once; a challenger has its share of as many.

    Args:
        record: The decision in force.
        replicas: How many the champion has.
    """
    found: dict[Role, int] = {"champion": replicas}
    if "challenger" in record.releases:
        share = max(record.weights.get("challenger", 0), record.shadow)
        found["challenger"] = max(1, math.ceil(replicas * share / 100))
    return found


def goal(record: Record, replicas: int, settings: str) -> Goal:
    """What the controller works towards.

    Args:
        record: The decision in force.
        replicas: How many the champion has.
        settings: Digest of the settings every replica must have.
    """
    wanted: Mapping[Role, int] = counts(record, replicas)
    keys = {role: release.key for role, release in record.releases.items()}
    challenger = keys.get("challenger")
    shadow = Shadow(challenger, record.shadow) if challenger and record.shadow else None
    return Goal(
        replicas={keys[role]: count for role, count in wanted.items()},
        weights={keys[role]: weight for role, weight in record.weights.items() if role in keys},
        shadow=shadow,
        settings=settings,
    )
