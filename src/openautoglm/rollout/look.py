"""What is seen of a rollout at one moment, and what that says about the challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openautoglm.deploy.rollout_record import Measured
from openautoglm.rollout.state import Progress
from openautoglm.rollout.verdict import Verdict


@dataclass(frozen=True)
class Look:
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


def lacking(progress: Progress, look: Look) -> list[str]:
    """What keeps the challenger from going on, in words; empty when the evidence is complete."""
    found = []
    for metric in progress.settings.metrics.used():
        seen = look.evidence.get(metric)
        if seen is None:
            found.append(f"{metric}: nothing to compare")
        elif Verdict(seen.verdict) is not Verdict.NO_WORSE:
            needed = f" ({seen.needed} more would decide)" if seen.needed else ""
            found.append(f"{metric}: {seen.verdict}{needed}")
    found += look.missing
    found += [look.mismatch] if look.mismatch else []
    found += [] if look.in_force else ["the routes are not in force"]
    return found


def worse(progress: Progress, look: Look) -> str:
    """Which metrics are worse; "" while the challenger has no traffic or a person overrules it."""
    if progress.place == "pending" or (progress.place == "promoting" and progress.forced):
        return ""
    found = [
        metric
        for metric in progress.settings.metrics.used()
        if metric in look.evidence and Verdict(look.evidence[metric].verdict) is Verdict.WORSE
    ]
    return f"worse than the champion: {', '.join(found)}" if found else ""
