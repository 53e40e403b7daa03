"""`openautoglm drift`: a file of rows, or what a service was asked, beside the reference split."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from openautoglm.config.params import Params
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.drift.compare import Verdict
from openautoglm.observability.progress import working_on
from openautoglm.steps.caller import runtime_of
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.drift import PAGE
from openautoglm.steps.windows.judge import Judged, judge
from openautoglm.steps.windows.rows import Source, file_source
from openautoglm.steps.windows.service import service_source

_COLOURS = {Verdict.NONE: "green", Verdict.DRIFT: "red", Verdict.TOO_LITTLE: "yellow"}


def drift(
    project: Project,
    current: Path,
    *,
    text: str | None,
    label: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge a file: write its report, log it to MLflow and print what was found.

    Args:
        project: The project, whose chain has run.
        current: The window's file.
        text: Its text column, where it is not the project's.
        label: Its label column, where it is not the project's.
        out: Folder of the report; `reports/drift-windows/<file stem>` when None.
        as_json: Print the result as JSON.

    Raises:
        InputError: The file, a column or the chain's output is missing, or `out` is a folder of
            something else.
        StoreError: MLflow does not answer; the report stands.
    """
    _judge(project, file_source(current, text=text, label=label), out=out, as_json=as_json)


def drift_service(
    project: Project, folder: ServiceFolder, *, out: Path | None, as_json: bool
) -> None:
    """The same for the requests that a service kept.

    Args:
        project: The project, whose chain has run.
        folder: The service's.
        out: Folder of the report; `reports/drift-windows/service-NAME` when None.
        as_json: Print the result as JSON.

    Raises:
        InputError: The service keeps no requests, or as `drift`.
        StoreError: Feedback store or MLflow do not answer.
    """
    _judge(project, service_source(folder), out=out, as_json=as_json)


def _judge(project: Project, source: Source, *, out: Path | None, as_json: bool) -> None:
    working_on("drift")
    folders = {name: project.root / place for name, place in STEPS["drift"].inputs.items()}
    out = out or project.root / "reports" / "drift-windows" / source.stem
    judged = judge(
        source,
        **folders,
        params=load(project.params_file, Params),
        tracker=runtime_of(project).tracker,
        out=out,
    )
    if as_json:
        print(json.dumps(judged.document, indent=2, ensure_ascii=False))
    else:
        _print(judged, out / PAGE)


def _print(judged: Judged, page: Path) -> None:
    found, document = judged.found, judged.document
    console = Console()
    table = Table(box=None, pad_edge=False)
    for name in ("column", "effect", "threshold", "p-value", "verdict"):
        table.add_column(name, justify="left" if name in ("column", "verdict") else "right")
    for c in found.columns:
        effect = "-" if c.effect is None else f"{c.effect:.3f}"
        p_value = "-" if c.p_value is None else f"{c.p_value:.1g}"
        verdict = f"[{_COLOURS[c.verdict]}]{c.verdict}[/]"
        table.add_row(c.column, effect, f"{c.threshold:g}", p_value, verdict)
    console.print(table)
    console.print(f"\n[bold {_COLOURS[found.verdict]}]{found.verdict}[/]: {found.reason}\n")
    rejected = ", ".join(f"{n} {reason}" for reason, n in document["rejected"].items())
    lines = [f"rows: {document['found']} found, {document['used']} can be used"]
    lines += [f"rejected: {rejected}"] if rejected else []
    lines += document["notes"]
    lines.append(f"report: {os.path.relpath(page)}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
