"""The evidence of an open rollout, gathered look by look and kept, so that nothing counts twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from openautoglm.artifacts.folder import write_text
from openautoglm.errors import OpenAutoGLMError
from openautoglm.feedback.reading import Cursor, News
from openautoglm.rollout.analysis import split
from openautoglm.rollout.analysis.comparison import Comparison
from openautoglm.rollout.analysis.evidence import Evidence
from openautoglm.rollout.analysis.looks import Floats
from openautoglm.rollout.figures import Figures
from openautoglm.rollout.metrics import Stage, alpha, counted, labelled, metrics
from openautoglm.rollout.state import Progress
from openautoglm.routing.counts import Counts, Look, Totals

_TOTALS = TypeAdapter(Totals | None)
_FIGURES = TypeAdapter(Figures)
_VERSION = 1
_AWAITED = ("requests", "uncounted", "labels", "telemetry", "replicas", "router")
"""What may be missing; `uncounted` are requests that have copies of which nobody knows the end."""
_SETTLED = 2
"""Looks after a change that may have requests of the split before it: gateways tell what they
have counted with some delay."""


@dataclass
class Gathered:
    """What is known so far; `gathered.json` of a service.

    Attributes:
        id: The rollout's.
        stage: What is compared; the other stage has a comparison of its own.
        place: State and step that the split is counted at.
        totals: Where the next look at the gateways starts.
        cursor: Where the next look at the feedback starts.
        comparison: The evidence.
        split: Evidence against the split being the one that was asked for.
        last: When there last was something, seconds since 1970, by what.
        store: Digest of the feedback store's URL, whose rows the cursor counts.
        figures: All that both have done since the rollout began, whatever the stage.
        steady: Looks in a row at which the routes were those of this place.
    """

    id: int
    stage: Stage
    place: tuple[str, int, bool]
    totals: Totals | None
    cursor: Cursor | None
    comparison: Comparison
    split: Floats
    last: dict[str, float] = field(default_factory=dict)
    store: str = ""
    figures: Figures = field(default_factory=Figures)
    steady: int = 0

    @property
    def evidence(self) -> list[Evidence]:
        """Metric by metric."""
        return self.comparison.evidence()


def gathered(progress: Progress, stage: Stage, kept: Path) -> Gathered:
    """What is known of a rollout at a stage: kept by whoever looked before, or nothing yet.

    Args:
        progress: Where it stands.
        stage: What is compared now.
        kept: The file; one that cannot be read, or is of another rollout or stage, is left out.
    """
    now = progress.at
    fresh = Gathered(
        id=progress.id,
        stage=stage,
        place=("", 0, False),
        totals=None,
        cursor=None,
        comparison=Comparison(metrics(progress.settings, stage), alpha=alpha(progress.settings)),
        split=split.start(),
        last=dict.fromkeys(_AWAITED, now),
    )
    try:
        told = json.loads(kept.read_text(encoding="utf-8"))
        if (told["version"], told["id"]) != (_VERSION, progress.id):
            return fresh
        fresh.totals = _TOTALS.validate_python(told["totals"])
        fresh.cursor = Cursor(**told["cursor"]) if told["cursor"] else None
        fresh.store = str(told["store"])
        fresh.figures = _FIGURES.validate_python(told["figures"])
        if told["stage"] != stage:
            return fresh
        state, settings = told["comparison"], progress.settings
        fresh.comparison = Comparison(metrics(settings, stage), alpha=alpha(settings), state=state)
        fresh.split = np.asarray(told["split"], float)
        fresh.place = tuple(told["place"])
        fresh.last |= told["last"]
    except (OSError, ValueError, LookupError, TypeError, ValidationError, OpenAutoGLMError):
        return fresh
    return fresh


def listens(kept: Path, rollout: int) -> bool:
    """Whether answers and labels are read from now on, as the last one who looked has it.

    Args:
        kept: The file.
        rollout: The rollout's number.
    """
    try:
        told = json.loads(kept.read_text(encoding="utf-8"))
        return told["id"] == rollout and told["cursor"] is not None
    except (OSError, ValueError, LookupError, TypeError):
        return False


def keep(path: Path, known: Gathered) -> None:
    """Write it whole or not at all.

    Raises:
        OSError: The disk is full; the next look starts where the last one that was kept ended.
    """
    told: dict[str, Any] = {
        "version": _VERSION,
        "id": known.id,
        "stage": known.stage,
        "place": known.place,
        "totals": _TOTALS.dump_python(known.totals, mode="json"),
        "cursor": asdict(known.cursor) if known.cursor else None,
        "store": known.store,
        "comparison": known.comparison.state(),
        "split": known.split.tolist(),
        "last": known.last,
        "figures": _FIGURES.dump_python(known.figures, mode="json"),
    }
    write_text(path, json.dumps(told) + "\n")


def take(
    known: Gathered,
    progress: Progress,
    look: Look,
    news: News | None,
    *,
    now: float,
    in_force: bool,
    edges: tuple[float, ...],
) -> None:
    """Take in what came since the last look.

    Args:
        known: What is known; changed here.
        progress: Where the rollout stands.
        look: At the gateways.
        news: Of the feedback; None when nothing was read of it.
        now: Seconds since 1970.
        in_force: Whether the routes are those of the ledger.
        edges: Seconds that latencies are counted by.
    """
    place = _place(progress)
    if place != known.place or look.lost:
        known.comparison.cut()
    if place != known.place:
        known.place, known.split, known.steady = place, split.start(), 0
    champion, challenger = _arms(known.stage, progress, look)
    for name, one in counted(progress.settings, edges, champion, challenger).items():
        known.comparison.add(name, one)
    known.steady = known.steady + 1 if in_force else 0
    if known.steady > _SETTLED and known.stage == "canary":
        weight = progress.settings.weights[max(progress.step, 1) - 1] / 100
        parts = (float(champion.requests), float(challenger.requests), weight)
        known.split = split.add(known.split, *(np.asarray(part) for part in parts))
    if champion.requests or challenger.requests:
        known.last["requests"] = now
    if known.stage == "shadow" and look.variants.get(progress.champion.key, Counts()).requests:
        known.last["uncounted"] = now
    if not look.missing:
        known.last["telemetry"] = now
    known.totals = look.totals
    key = progress.challenger.key
    both = look.variants.get(key, Counts()) + look.copies.get(key, Counts())
    known.figures.add(look.variants.get(progress.champion.key, Counts()), both, news)
    if news is not None:
        _take_labels(known, progress, news, now)


def mismatch(known: Gathered, progress: Progress) -> str:
    """How the observed split is not the one asked for; "" when it may be."""
    threshold = float(np.log(1 / progress.settings.alpha))
    if known.stage != "canary" or float(split.log_evidence(known.split)) < threshold:
        return ""
    return "the requests are not split as the weights say (sample-ratio mismatch)"


def _take_labels(known: Gathered, progress: Progress, news: News, now: float) -> None:
    for name, one in labelled(progress.settings, known.stage, news).items():
        known.comparison.add(name, one)
        if one.n0 or one.n1:
            known.last["labels"] = now
    known.cursor = news.cursor


def _arms(stage: Stage, progress: Progress, look: Look) -> tuple[Counts, Counts]:
    """What came of champion and challenger; in the shadow, of requests that copies were made of."""
    champion, challenger = (
        (look.copied, look.copies) if stage == "shadow" else (look.variants, look.variants)
    )
    return (
        champion.get(progress.champion.key, Counts()),
        challenger.get(progress.challenger.key, Counts()),
    )


def _place(progress: Progress) -> tuple[str, int, bool]:
    return str(progress.place), progress.step, progress.state == "held"
