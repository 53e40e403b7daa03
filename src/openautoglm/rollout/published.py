"""A rollout in MLflow: one run, with champion and challenger below it under equal metric names.

Equal names are what puts both into one chart of the compare page. What is published again after a
kill, or after the store did not answer, adds only what is missing: runs are found by their key,
and a point by its step, the seconds since the rollout began.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from openautoglm.artifacts.digest import value_digest
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.rollout_record import Measured
from openautoglm.errors import InputError, StoreError
from openautoglm.observability.tracking import TrackedRun, Tracker
from openautoglm.rollout.points import Point
from openautoglm.rollout.report import page
from openautoglm.rollout.state import Progress, progress

_ROLES: tuple[Role, ...] = ("champion", "challenger")
_EVIDENCE = (
    "how strongly counts speak for this version, a logarithm: for the champion that the other is "
    "worse, for the challenger that it is no worse; what reaches evidence/threshold decides"
)


def publish(
    tracker: Tracker,
    service: str,
    records: Sequence[Record],
    points: Sequence[Point],
    *,
    evidence: Mapping[str, Measured] | None = None,
) -> None:
    """Write a rollout as it is now; again and again while it is open, and once when it ended.

    Args:
        tracker: Opens runs.
        service: The service's name.
        records: Of one rollout, `openautoglm.rollout.course.records_of`.
        points: Its series.
        evidence: As `openautoglm.rollout.report.page`.

    Raises:
        StoreError: The store does not answer, or has no room; what was written stays.
        InputError: The rollout's first decision is not among the records.
    """
    now = progress(records)
    if now is None:
        raise InputError("the first decision of the rollout is missing", where="ledger")
    # The time tells two rollouts apart when a service was removed and its numbers began anew.
    key = f"{service} {now.id} {records[0].time}"
    tags = {
        "service": service,
        "rollout": str(now.id),
        "state": now.state,
        "reason": now.reason,
        "by": records[-1].by,
    }
    try:
        with tracker.run(f"rollout {service} {now.id}", key=key, tags=tags) as run:
            _settings(run, now, records)
            for role in _ROLES:
                release: Release = getattr(now, role)
                own = tags | _told(release) | {"role": role, "evidence": _EVIDENCE}
                with run.nested(role, key=key, tags=own) as below:
                    below.params(_told(release))
                    _series(below, role, points)
            _files(run, page(service, records, points, evidence=evidence), records)
    except OSError as error:
        raise StoreError(
            f"the rollout cannot be written to the store: {error.strerror or error}",
            where=error.filename,
        ) from error


def _settings(run: TrackedRun, now: Progress, records: Sequence[Record]) -> None:
    first = records[0]
    run.params(
        {
            **now.settings.model_dump(mode="json"),
            "settings_digest": value_digest(now.settings.model_dump(mode="json")),
            "started": first.time,
            "started_by": first.by,
            "data": now.data,
            **{role: _told(getattr(now, role)) for role in _ROLES},
        }
    )


def _told(release: Release) -> dict[str, str]:
    return {
        "model": release.name,
        "version": release.version,
        "digest": release.digest,
        "variant": f"{release.family} {release.variant}",
    }


def _series(run: TrackedRun, role: Role, points: Sequence[Point]) -> None:
    for point in points:
        values = {
            name: float(value)
            for name, value in _values(role, point)
            if value is not None and math.isfinite(value)
        }
        run.metrics(values, step=point.seconds)


def _values(role: Role, point: Point) -> Iterator[tuple[str, float | None]]:
    """The first ones are drawn first."""
    arm = point.champion if role == "champion" else point.challenger
    # The compare page shows three decimals: a share of errors would be the same for both.
    yield "error_percent", 100 * arm.errors / arm.requests if arm.requests else None
    slow = getattr(point.evidence.get("slow"), role, None)
    yield "slow_percent", None if slow is None else 100 * slow
    yield "p50_ms", arm.p50
    yield "p95_ms", arm.p95
    yield "p99_ms", arm.p99
    yield "accuracy", 1 - arm.wrong / arm.labelled if arm.labelled else None
    yield "agreement", point.agreement
    yield "confidence", arm.confidence
    yield "prediction_drift", point.drift
    yield "weight", point.weight if role == "challenger" else 100 - point.weight
    for metric, weighed in point.evidence.items():
        yield f"evidence/{metric}", weighed.worse if role == "champion" else weighed.no_worse
        yield "evidence/threshold", weighed.threshold
    yield "requests", arm.requests
    yield "labels", arm.labelled


def _files(run: TrackedRun, report: str, records: Sequence[Record]) -> None:
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        html, kept = Path(folder) / "report.html", Path(folder) / "records.json"
        html.write_text(report, encoding="utf-8")
        kept.write_text(
            f"[{','.join(record.model_dump_json() for record in records)}]\n", encoding="utf-8"
        )
        run.artifact(html)
        run.artifact(kept)
