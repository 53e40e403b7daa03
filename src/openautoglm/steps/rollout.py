"""rollout: what canary found ready goes to services that are live; a pipeline waits for its end.

No step of the chain. Where nobody serves the model, canary has said the last word, and that is
passed on; where a service does, its own rollout decides, as `openautoglm rollout start` has it.
Whoever waits may be killed: the rollout goes on, and who asks again finds it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from openautoglm.config.params import CanaryParams
from openautoglm.config.project import Project
from openautoglm.deploy.ledger import Record, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.known import serving
from openautoglm.deploy.local.waiting import see_to
from openautoglm.errors import ArtifactError, BusyError, ConfigError
from openautoglm.observability.progress import say, working_on
from openautoglm.rollout import series
from openautoglm.rollout.canary.service import folder_of
from openautoglm.rollout.course import records_of
from openautoglm.rollout.following import Following, Look, follow
from openautoglm.rollout.requests import begin
from openautoglm.rollout.settling import since_delete
from openautoglm.rollout.state import progress
from openautoglm.rollout.summary import summary as page_of
from openautoglm.steps.component import Artifact, entry, this_project
from openautoglm.steps.effect import Receipt, read_receipt
from openautoglm.steps.shown import write

READY = "ready"
_WORST_FIRST = ("rolled_back", "held", "promoted")


class Told(NamedTuple):
    """What the pipeline is told: a receipt's fields, in its order."""

    model_digest: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Ended:
    """What came of a model at one service.

    Attributes:
        folder: The service's.
        verdict: `promoted`, `rolled_back` or `held`.
        reason: Why.
        records: Of its rollout; none where the service serves the model without one.
    """

    folder: ServiceFolder
    verdict: str
    reason: str
    records: Sequence[Record] = ()


@entry
def rollout(
    canary: Artifact,
    params: str,
    patience_minutes: float,
    run: str,
    summary: Artifact,
    report: Artifact,
) -> Told:
    """Roll out what canary found ready, wherever it is served, and wait for the end.

    Args:
        canary: Canary's receipt.
        params: Canary's parameters as JSON, which have the model's name.
        patience_minutes: How long a rollout may be held before that is the verdict; it goes on.
        run: The pipeline's run, for the ledger; may be empty.
        summary: Gets the decisions as Markdown.
        report: Gets the page of the rollout that the verdict is of.

    Returns:
        The model's digest, the verdict (`promoted`, `rolled_back`, `held`, or canary's own where
        there was nothing to do) and its reason.

    Raises:
        SystemExit: With 2 when another rollout is open or the patience is none; with 1 when a
            rollout has no end. The error was printed.
    """
    working_on("rollout")
    if not (math.isfinite(patience_minutes) and patience_minutes >= 0):
        raise ConfigError(
            f"found {patience_minutes:g}", where="patience_minutes", allowed="0 or more minutes"
        )
    receipt = read_receipt(Path(canary.path), Receipt)
    model = CanaryParams.model_validate_json(params).model.name
    by = f"pipeline run {run}" if run else "component rollout"
    found = roll_out(this_project(), model, receipt, by=by, patience=60 * patience_minutes)
    told = Told(receipt.model_digest, receipt.verdict, receipt.reason)
    if found:
        reason = "; ".join(one.reason for one in found)
        told = told._replace(verdict=found[0].verdict, reason=reason)
    say(f"{told.verdict}: {told.reason}")
    _show(found, told, summary, report)
    return told


def roll_out(
    project: Project, model: str, receipt: Receipt, *, by: str, patience: float
) -> list[Ended]:
    """Begin the rollouts that have not begun yet, and wait until all have ended or are held.

    Args:
        project: Whose services.
        model: Registered name.
        receipt: Canary's.
        by: Who decides, for the ledgers.
        patience: Seconds that a rollout may be held.

    Returns:
        What came of it by service, the worst first; empty where there was nothing to do.

    Raises:
        BusyError: Another rollout is open at one of the services; none was begun.
        ConfigError: The version cannot be served, or something else has ended a rollout.
        DeployError: A rollout goes on when all its deadlines have passed.
        StoreError: The registry does not answer.
    """
    if receipt.verdict != READY:
        return []
    canary = folder_of(project, model).name
    live = [ServiceFolder(project, name) for name in serving(project, model, besides=canary)]
    known = {folder: _known(folder, receipt.model_digest) for folder in live}
    version = _version(project, model, receipt.model_digest) if None in known.values() else ""
    found = [one for one in known.values() if isinstance(one, Ended)]
    open_ = [
        one or Following(folder, begin(folder, version, by=by).id)
        for folder, one in known.items()
        if not isinstance(one, Ended)
    ]
    for one in open_:
        see_to(one.folder)
    looks = follow(open_, patience=patience)
    found += [_ended(one.folder, look) for one, look in zip(open_, looks, strict=True)]
    return sorted(found, key=lambda one: _WORST_FIRST.index(one.verdict))


def _known(folder: ServiceFolder, digest: str) -> Following | Ended | None:
    """The last rollout of a model, open or ended; None where it is to begin."""
    records = since_delete(read(folder.ledger))
    numbers = sorted({one.rollout.id for one in records if one.rollout}, reverse=True)
    for number in numbers:
        now = progress(records_of(records, number))
        if now and now.challenger.digest == digest:
            say(f"{folder.name}: rollout {number} of version {now.challenger.version} is known")
            return Following(folder, number)
    champion, owner = records[-1].releases["champion"], records[-1].owner
    if champion.digest == digest:
        return Ended(folder, "promoted", f"{folder.name} serves version {champion.version} already")
    if owner:
        raise BusyError(
            f"{owner} of {folder.name} is open, and it is of another version",
            where=str(folder.ledger),
            hint=f"openautoglm rollout watch {folder.name}, or abort; then this again",
        )
    return None


def _version(project: Project, model: str, digest: str) -> str:
    """The version that the registry has of a model; MLflow takes seconds to import."""
    from openautoglm.registry.store import open_store
    from openautoglm.registry.versions import find

    store = open_store(project)
    version = find(store, model, digest)
    if version is None:
        raise ArtifactError(
            f"the registry does not hold this model under the name {model}",
            where=store.uri,
            hint="openautoglm verify",
        )
    return str(version.version)


def _ended(folder: ServiceFolder, look: Look) -> Ended:
    """What a rollout came to; what came after it is told, too, and changes nothing of that."""
    now, reason = look.now, f"{folder.name}: {look.now.reason}"
    champion = read(folder.ledger)[-1].releases.get("champion")
    if now.state == "promoted" and champion and champion.digest != now.challenger.digest:
        reason += f"; by now it serves version {champion.version}"
    return Ended(folder, now.state, reason, look.records)


def _show(found: Sequence[Ended], told: Told, summary: Artifact, report: Artifact) -> None:
    """Each rollout as Markdown, and the page of the one that the verdict is of."""
    title = f"# {told.verdict.replace('_', ' ')}\n\n{told.reason}\n"
    rollouts = [one for one in found if one.records]
    write(summary, "\n".join([title, *(page_of(one.folder.name, one.records) for one in rollouts)]))
    page = f'<!doctype html>\n<meta charset="utf-8">\n<p>{html.escape(told.reason)}</p>\n'
    if rollouts:
        from openautoglm.rollout.report import page as whole

        first = rollouts[0]
        number = first.records[0].rollout.id if first.records[0].rollout else 0
        points = series.read(series.file_of(first.folder.root, number))
        page = whole(first.folder.name, first.records, points)
    Path(report.path).write_text(page, encoding="utf-8")
