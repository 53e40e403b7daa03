"""What a rollout had come to at one moment, for curves: none of it decides anything.

All counts are those since the rollout began, so that a point which is left out takes nothing from
the others, and the last one is the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openautoglm.deploy.rollout_record import State
from openautoglm.routing.counts import Counts

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Arm:
    """Champion or challenger, since the rollout began.

    Attributes:
        requests: Those that could have been errors.
        errors: Of them, those not answered well.
        p50: Milliseconds within which half the answers came; None without any.
        p95: Likewise.
        p99: Likewise.
        labelled: Answers that feedback has a label for.
        wrong: Of them, those it says are wrong.
        confidence: Mean of the answers' own, in [0, 1]; None without any.
    """

    requests: int = 0
    errors: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    labelled: int = 0
    wrong: int = 0
    confidence: float | None = None


@dataclass(frozen=True)
class Weighed:
    """Where the comparison of one metric stood.

    Attributes:
        champion: Its rate; None without exposure.
        challenger: Likewise.
        worse: Logarithm of the evidence that the challenger is worse than tolerated.
        no_worse: Logarithm of the evidence that it is within the margin.
        threshold: Where either decides.
    """

    champion: float | None
    challenger: float | None
    worse: float
    no_worse: float
    threshold: float


@dataclass(frozen=True)
class Point:
    """One moment of a rollout.

    Attributes:
        time: Seconds since 1970.
        seconds: Whole seconds since the rollout began.
        state: What it did from then on.
        weight: Percent of the requests that the challenger had from then on.
        champion: Its counts.
        challenger: Its counts.
        agreement: Share of the copied requests that both answered alike; None without any.
        drift: How differently the two spread their answers over the classes, as
            `openautoglm drift` measures it: 0 alike, 1 not at all; None while too few answers are
            known, `openautoglm.rollout.figures.spread`.
        evidence: By metric, under the names of the settings.
    """

    time: float
    seconds: int
    state: State
    weight: int
    champion: Arm = Arm()
    challenger: Arm = Arm()
    agreement: float | None = None
    drift: float | None = None
    evidence: Mapping[str, Weighed] = field(default_factory=dict)


def arm(
    counts: Counts,
    edges: Sequence[float],
    *,
    labelled: int = 0,
    wrong: int = 0,
    confidence: float | None = None,
) -> Arm:
    """One arm from what telemetry has counted.

    Args:
        counts: Since the rollout began.
        edges: Seconds up to which answers are counted, ascending.
        labelled: Answers with a label.
        wrong: Those that are wrong.
        confidence: Mean of the answers' own.
    """
    milliseconds = [1000 * edge for edge in edges]
    p50, p95, p99 = (quantile(q, milliseconds, counts.timed, counts.slow) for q in QUANTILES)
    return Arm(counts.exposure, counts.errors, p50, p95, p99, labelled, wrong, confidence)


def quantile(
    share: float, edges: Sequence[float], timed: Sequence[int], slow: Sequence[int]
) -> float | None:
    """A quantile from counts, as if answers lay evenly between two edges.

    Args:
        share: In (0, 1].
        edges: Ascending, all above 0.
        timed: By edge, answers of which it is known whether they took longer.
        slow: By edge, those that did.

    Returns:
        In the unit of the edges; the last edge when it lies above it, None without an answer.
    """
    below, edge_below, known = 0.0, 0.0, False
    for edge, n, later in zip(edges, timed, slow, strict=False):
        if n == 0:
            continue
        known = True
        # Counts of different edges may be of different answers: a share never falls.
        within = max(below, (n - later) / n)
        if within >= share:
            return edge_below + (edge - edge_below) * (share - below) / (within - below)
        below, edge_below = within, edge
    return edge_below if known else None
