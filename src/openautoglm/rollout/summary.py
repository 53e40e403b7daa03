"""A rollout's decision as Markdown, for a page that shows no more than that: Kubeflow's.

The whole of it, with curves, is `openautoglm.rollout.report`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release
from openautoglm.deploy.rollout_record import Measured
from openautoglm.errors import InputError
from openautoglm.reports.markdown import plain, table
from openautoglm.rollout import wording
from openautoglm.rollout.course import Step, course
from openautoglm.rollout.state import Progress, progress

_EVIDENCE = ("share of", "difference", "interval", "champion", "challenger", "verdict")
_COURSE = ("after", "for", "state", "challenger has", "copies", "why")
_NONE = "–"


def summary(service: str, records: Sequence[Record]) -> str:
    """What was decided, on what, and which weight the challenger had when.

    Args:
        service: Its name.
        records: Of one rollout, `openautoglm.rollout.course.records_of`.

    Raises:
        InputError: The rollout's first decision is not among the records.
    """
    now = progress(records)
    if now is None:
        raise InputError("the first decision of the rollout is missing", where="ledger")
    steps = list(course(records))
    state = now.state.replace("_", " ")
    parts = [
        f"## Rollout {now.id} of {service}: {state}",
        f"**{state}**: {plain(now.reason)}",
        f"Champion: {_release(now.champion)}. Challenger: {_release(now.challenger)}.",
        "### Evidence, in percentage points",
        table(_EVIDENCE, _evidence(now, records)),
        "### Course",
        table(_COURSE, (_told(now, step) for step in steps)),
        f"Curves and all settings: MLflow, run `rollout {service} {now.id}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _evidence(now: Progress, records: Sequence[Record]) -> Iterator[Sequence[str]]:
    seen: dict[str, Measured] = {}
    for record in records:
        seen |= record.rollout.evidence if record.rollout else {}
    for metric in now.settings.metrics.used():
        found = seen.get(metric, Measured(verdict="undecided"))
        yield (
            wording.metric(now.settings, metric),
            wording.points(found.value),
            wording.interval(found.interval),
            f"{found.n.get('champion', 0):,}",
            f"{found.n.get('challenger', 0):,}",
            found.verdict.replace("_", " "),
        )


def _told(now: Progress, step: Step) -> Sequence[str]:
    record = step.record
    what, why = f"asked: {record.request.wish}" if record.request else "", record.note
    weight = record.weights.get("challenger", 0)
    if record.rollout:
        what = wording.state(now.settings, record.rollout)
        why = "; ".join(part for part in (record.rollout.reason, record.note) if part)
        weight = 100 if record.rollout.state == "promoted" else weight
    return (
        wording.duration(step.after),
        _NONE if step.lasted is None else wording.duration(step.lasted),
        what,
        f"{weight} %",
        f"{record.shadow} %" if record.shadow else _NONE,
        why,
    )


def _release(release: Release) -> str:
    told = f"{release.family} {release.variant}, `{release.digest[:19]}`"
    return f"version {plain(release.version)} ({told})"
