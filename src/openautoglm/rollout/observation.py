"""What is seen of a rollout at one moment, and what that says about the challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openautoglm.deploy.rollout_record import Measured
from openautoglm.rollout.state import Progress
from openautoglm.rollout.verdict import Verdict


@dataclass(frozen=True)
class Observation:
    """What is seen of a rollout at one moment.

    Attributes:
        now: Seconds since 1970; may go back.
        in_force: The routes are those of the ledger's last record, and every replica that it
            calls for is ready.
        evidence: By metric, gathered at this place or before it.
        missing: What there is nothing of, in words, and for how many seconds now.
        mismatch: In which way the split, counted since the place was entered or resumed, is not
            the one that was asked for; "" when it fits.
        confirmed: The URL that must agree has answered 200.
    """

    now: float
    in_force: bool
    evidence: Mapping[str, Measured] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    mismatch: str = ""
    confirmed: bool = False


def lacking(progress: Progress, seen: Observation) -> list[str]:
    """What keeps the challenger from going on, in words; empty when the evidence is complete."""
    found = []
    for metric in progress.settings.metrics.used():
        one = seen.evidence.get(metric)
        if metric in progress.settled:
            continue
        if one is None:
            found.append(f"{metric}: nothing to compare")
        elif Verdict(one.verdict) is not Verdict.NO_WORSE:
            needed = f" ({one.needed} more would decide)" if one.needed else ""
            found.append(f"{metric}: {one.verdict}{needed}")
    found += seen.missing
    found += [seen.mismatch] if seen.mismatch else []
    found += [] if seen.in_force else ["the routes are not in force"]
    return found


def worse(progress: Progress, seen: Observation) -> str:
    """Which metrics are worse; "" while the challenger has no traffic or a person overrules it."""
    if progress.place == "pending" or (progress.place == "promoting" and progress.forced):
        return ""
    found = [
        metric
        for metric in progress.settings.metrics.used()
        if metric in seen.evidence and Verdict(seen.evidence[metric].verdict) is Verdict.WORSE
    ]
    return f"worse than the champion: {', '.join(found)}" if found else ""
