"""What an open rollout has nothing of, in words."""

from __future__ import annotations

from openautoglm.rollout.gathering import Gathered
from openautoglm.rollout.state import Progress
from openautoglm.rollout.verdict import Verdict

_NO_REQUESTS = "no requests come in"
_ONLY_GRPC = (
    "requests come over gRPC only, and copies of those cannot be compared: "
    "abort, and leave copies out (rollout.shadow.percent: 0)"
)


def missing(
    known: Gathered, progress: Progress, *, problem: str, silent: bool, now: float
) -> dict[str, float]:
    """What there is nothing of, and for how many seconds.

    Args:
        known: What was gathered.
        progress: Where the rollout stands.
        problem: Why the routes could not be put into force; "" when they could.
        silent: Whether the feedback store does not answer.
        now: Seconds since 1970.

    Returns:
        Only what has been away for the setting's `missing_seconds`: a pause between two requests
        is nothing to speak of.
    """
    last = known.last
    words = {
        "requests": _ONLY_GRPC if last["uncounted"] > last["requests"] else _NO_REQUESTS,
        "telemetry": "a gateway does not tell what it counts",
        "replicas": "the challenger has no replica that is ready",
        "router": f"the router: {problem}",
    }
    verdicts = {one.metric: one.verdict for one in known.evidence}
    undecided = verdicts.get("accuracy") is Verdict.UNDECIDED
    if undecided and "accuracy" not in progress.settled:  # else there were enough
        words["labels"] = "the feedback store does not answer" if silent else "no labels come in"
    since = {told: now - last[what] for what, told in words.items()}
    long = progress.settings.missing_seconds
    return {told: seconds for told, seconds in since.items() if seconds >= long}
