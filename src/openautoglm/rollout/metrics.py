"""From a rollout's settings to what is compared, and from what was counted to looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.rollout_record import Measured
from openautoglm.feedback.reading import News
from openautoglm.rollout.analysis.evidence import Evidence, Kind, Metric
from openautoglm.rollout.analysis.looks import Look
from openautoglm.routing.counts import Counts

Stage = Literal["shadow", "canary"]
"""In `shadow` the challenger answers copies of the champion's requests, in `canary` its own."""


def metrics(settings: RolloutSettings, stage: Stage) -> list[Metric]:
    """What is compared at a stage.

    Answers to copies and what they are copies of make pairs, which say more than two arms.
    """
    found = []
    for name in settings.metrics.used():
        limits = getattr(settings.metrics, name)
        labels = name == "accuracy"
        kind: Kind = "pairs" if labels and stage == "shadow" else "events"
        found.append(
            Metric(
                name,
                kind,
                "labels" if labels else "requests",
                tolerance=limits.tolerance / 100,
                margin=limits.margin / 100,
            )
        )
    return found


def alpha(settings: RolloutSettings) -> float:
    """Of each stage: both together may not roll a good challenger back more often than allowed."""
    return settings.alpha / (2 if settings.shadow.percent else 1)


def counted(
    settings: RolloutSettings, edges: Sequence[float], champion: Counts, challenger: Counts
) -> dict[str, Look]:
    """Looks at requests, by metric.

    Args:
        settings: The rollout's.
        edges: Seconds that `timed` and `slow` of both are counted by.
        champion: What came of it since the last look.
        challenger: The same.
    """
    found = {}
    if settings.metrics.errors:
        found["errors"] = Look(
            champion.exposure, challenger.exposure, champion.errors, challenger.errors
        )
    if slow := settings.metrics.slow:
        place = [round(1e6 * edge) for edge in edges].index(round(1e3 * slow.objective_ms))
        found["slow"] = Look(
            _at(champion.timed, place),
            _at(challenger.timed, place),
            _at(champion.slow, place),
            _at(challenger.slow, place),
        )
    return found


def labelled(settings: RolloutSettings, stage: Stage, news: News) -> dict[str, Look]:
    """Looks at answers of which it is known whether they were wrong, by metric."""
    if settings.metrics.accuracy is None:
        return {}
    if stage == "shadow":
        alone = [sum(one and not two for one, two in news.wrong)]
        alone.append(sum(two and not one for one, two in news.wrong))
        return {"accuracy": Look(len(news.wrong), len(news.wrong), *alone)}
    first, second = news.champion.wrong, news.challenger.wrong
    return {"accuracy": Look(len(first), len(second), sum(first), sum(second))}


def measured(found: Evidence, alpha: float) -> Measured:
    """Evidence as the ledger has it."""
    return Measured(
        verdict=found.verdict.value,
        value=found.difference,
        interval=(found.low, found.high),
        n={"champion": found.n0, "challenger": found.n1},
        rule=f"{found.method}, alpha {alpha:.2g}",
        needed=found.needed,
    )


def _at(counts: Sequence[int], place: int) -> int:
    return counts[place] if counts else 0
