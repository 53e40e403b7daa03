"""A rollout's decision as one HTML page: what was decided, on what, by whom, and how it got there.

Everything it says is from the ledger; only rates by version and curves are from the points, and
without those the page says less.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openautoglm.config.rollout import Accuracy, RolloutSettings
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.rollout_record import Measured, RolloutRecord
from openautoglm.errors import InputError
from openautoglm.reports.curves import drawn
from openautoglm.reports.page import render
from openautoglm.rollout import wording
from openautoglm.rollout.analysis.comparison import Comparison
from openautoglm.rollout.analysis.evidence import Metric
from openautoglm.rollout.analysis.looks import Look
from openautoglm.rollout.course import Step, course
from openautoglm.rollout.metrics import alpha as stage_alpha
from openautoglm.rollout.plots import plots
from openautoglm.rollout.points import Point, Weighed
from openautoglm.rollout.state import Progress, progress

_ASSUMED_WRONG = 0.1
_NONE = "–"


def page(
    service: str,
    records: Sequence[Record],
    points: Sequence[Point] = (),
    *,
    evidence: Mapping[str, Measured] | None = None,
) -> str:
    """The page's text.

    Args:
        service: Its name.
        records: Of one rollout, `openautoglm.rollout.course.records_of`.
        points: Its series, for curves and for rates by version.
        evidence: What it comes to now, while it is open; None is what the ledger has last.

    Raises:
        InputError: The rollout's first decision is not among the records.
    """
    now = progress(records)
    if now is None:
        raise InputError("the first decision of the rollout is missing", where="ledger")
    steps = list(course(records))
    seen = {**_last_evidence(records), **(evidence or {})}
    used = now.settings.metrics.used()
    rows = [_row(now.settings, metric, seen.get(metric), points) for metric in used]
    return render(
        "rollout.html.j2",
        id=now.id,
        service=service,
        verdict=_verdict(now, steps),
        releases=_releases(now),
        metrics=rows,
        intervals=f"The chance that a difference is ever below its interval, in any metric, is at "
        f"most {100 * now.settings.alpha:g} %; that it is ever above, likewise.",
        missing=_last(records).missing,
        stand_in=_stand_in(now.settings, seen.get("accuracy"), points),
        timeline=[_told(now.settings, step) for step in steps],
        plots=[(one.title, image) for one in plots(steps, points) if (image := drawn(one))],
        points=len(points),
        settings=list(_flat(now.settings.model_dump(mode="json"))),
    )


def labels_that_decide(settings: RolloutSettings, wrong: float = _ASSUMED_WRONG) -> int | None:
    """Labels of the challenger's answers that show it no worse, when it is as good.

    Args:
        settings: The rollout's; without `accuracy` its defaults are taken.
        wrong: Share of wrong answers of both.

    Returns:
        At the last weight that both share; None when nothing can be said.
    """
    used, asked = len(settings.metrics.used()), settings.metrics.accuracy
    alpha = stage_alpha(settings) / (used if asked else used + 1)
    asked = asked or Accuracy()
    metric = Metric("wrong", "events", "labels", asked.tolerance / 100, asked.margin / 100)
    comparison = Comparison([metric], alpha=alpha)
    n1 = 10.0 * settings.weights[-1]
    n0 = 1000 - n1
    comparison.add("wrong", Look(n0, n1, n0 * wrong, n1 * wrong))
    (found,) = comparison.evidence()
    return None if found.needed is None else int(found.needed + n1)


def _verdict(now: Progress, steps: Sequence[Step]) -> dict[str, str]:
    last = [step for step in steps if step.record.rollout][-1]
    by = last.record.by
    if now.state == "promoted":  # who let it begin has decided, not who found it done
        by = next(
            (
                step.record.by
                for step in reversed(steps)
                if step.record.rollout and step.record.rollout.state == "promoting"
            ),
            by,
        )
    kind = now.state if now.state in ("promoted", "rolled_back", "held") else "open"
    state = wording.state(now.settings, _last([last.record]))
    return {
        "kind": kind,
        "word": f"open, {state}" if kind == "open" else state,
        "reason": now.reason,
        "by": "decided by the rollout's own rule" if by == "rollout" else f"decided by {by}",
        "time": last.record.time[:19].replace("T", " ") + " UTC",
        "after": wording.duration(last.after) if last.after else "",
    }


def _releases(now: Progress) -> list[tuple[str, str, str]]:
    one, other = now.champion, now.challenger
    rows = [
        (name, str(getattr(one, name)), str(getattr(other, name)))
        for name in ("name", "version", "digest", "family", "variant", "origin")
    ]
    return [*rows, ("data", _NONE, now.data)] if now.data else rows


def _row(
    settings: RolloutSettings, metric: str, seen: Measured | None, points: Sequence[Point]
) -> dict[str, Any]:
    asked, rates = getattr(settings.metrics, metric), _rates(metric, points)
    seen = seen or Measured(verdict="undecided")
    unit = "labels" if metric == "accuracy" else "requests"
    return {
        "title": wording.metric(settings, metric),
        "champion": wording.percent(rates.champion) if rates else _NONE,
        "challenger": wording.percent(rates.challenger) if rates else _NONE,
        "n0": f"{seen.n.get('champion', 0):,}",
        "n1": f"{seen.n.get('challenger', 0):,} {unit}",
        "difference": wording.points(seen.value),
        "interval": wording.interval(seen.interval),
        "tolerance": f"{asked.tolerance:g}",
        "margin": f"{asked.margin:g}",
        "verdict": seen.verdict,
        "word": seen.verdict.replace("_", " "),
        "needed": f"{seen.needed:,} more {unit}" if seen.needed else _NONE,
        "rule": seen.rule,
    }


def _rates(metric: str, points: Sequence[Point]) -> Weighed | None:
    return next((p.evidence[metric] for p in reversed(points) if metric in p.evidence), None)


def _stand_in(settings: RolloutSettings, seen: Measured | None, points: Sequence[Point]) -> str:
    """What is known without labels, that it is no proof, and how many labels would be one."""
    labels = seen.n.get("challenger", 0) if seen else 0
    if seen and seen.verdict != "undecided":
        return ""
    why = "no labels were asked for (metrics.accuracy is null)"
    if settings.metrics.accuracy:
        why = f"{labels:,} labels do not decide" if labels else "there are no labels"
    told = f"Whether the answers are right is not known: {why}."
    if signs := wording.signs(points):
        told += f" In their place stand {signs}: they show whether the versions differ, not which "
        told += "is right."
    if seen and seen.needed:
        return f"{told} {seen.needed:,} more labels would decide."
    if needed := labels_that_decide(settings):
        told += f" About {needed:,} labels of the challenger's answers would decide, if both are "
        told += f"wrong in {100 * _ASSUMED_WRONG:g} % of theirs."
    return told


def _told(settings: RolloutSettings, step: Step) -> dict[str, Any]:
    record = step.record
    told = {
        "asked": not record.rollout,
        "time": record.time,
        "after": wording.duration(step.after),
        "lasted": _NONE if step.lasted is None else wording.duration(step.lasted),
        "weight": f"{record.weights.get('challenger', 0)} %",
        "copies": f"{record.shadow} %" if record.shadow else _NONE,
        "by": record.by,
    }
    if record.request:
        forced = ", whatever the evidence says" if record.request.forced else ""
        return told | {"state": f"asked: {record.request.wish}{forced}", "reason": record.note}
    found = _last([record])
    if found.state == "promoted":
        told["weight"] = "100 %"
    reason = "; ".join(part for part in (found.reason, record.note) if part)
    return told | {"state": wording.state(settings, found), "reason": reason}


def _last_evidence(records: Sequence[Record]) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    for record in records:
        found |= record.rollout.evidence if record.rollout else {}
    return found


def _last(records: Sequence[Record]) -> RolloutRecord:
    return next(one.rollout for one in reversed(records) if one.rollout)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            number = isinstance(value, int | float)
            yield f"{prefix}{name}", f"{value:.10g}" if number else json.dumps(value)
