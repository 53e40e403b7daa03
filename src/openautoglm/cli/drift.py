"""`openautoglm drift`: a file of rows, or what a service was asked, beside the reference split."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from openautoglm.artifacts.digest import file_sha256, value_digest
from openautoglm.artifacts.folder import published
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.cli.service_window import service_source
from openautoglm.cli.steps import runtime_of
from openautoglm.cli.window import Read, Source, read_window
from openautoglm.config.data import DataParams
from openautoglm.config.params import DriftParams, Params, view
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.data.prepared import Prepared
from openautoglm.data.prepared import read as read_rows
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.drift.compare import Verdict, WindowVerdict
from openautoglm.drift.report import write_report
from openautoglm.errors import ArtifactError, InputError
from openautoglm.observability.progress import say, working_on
from openautoglm.reports.page import render
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.drift import PAGE, watch_of

_RESULT = "window.json"
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

    def read(data: DataParams, labels: tuple[str, ...]) -> Read:
        return read_window(current, data, labels, text=text, label=label)

    source = Source(current.name, current.stem, read, lambda: file_sha256(current))
    _judge(project, source, out=out, as_json=as_json)


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
    params = load(project.params_file, Params)
    folders = {name: project.root / place for name, place in STEPS["drift"].inputs.items()}
    digests = _digests(folders)
    out = out or project.root / "reports" / "drift-windows" / source.stem
    _refuse_other(out)
    rows, settings = read_rows(folders["prepared"]), view(params, DriftParams)
    window = source.read(params.data, rows.labels)
    notes = [*window.notes, *_learned(window, rows)]
    say(f"{len(window.window)} of {window.found} rows of {source.name} can be used")
    watch = watch_of(rows, folders["compressed"], settings)
    columns = watch.columns(window.window)
    found = watch.judge(columns)
    result = _result(source.name, window, notes, found)
    with published(out) as part:
        write_report(part, "report", watch.reference, columns, found)
        document = json.dumps(result, indent=2, ensure_ascii=False)
        (part / _RESULT).write_text(document + "\n", encoding="utf-8")
        page = render("drift.html.j2", windows={source.name: result})
        (part / PAGE).write_text(page, encoding="utf-8")
    key = value_digest([digests, settings.model_dump(mode="json"), source.digest(), result])
    tags = {"window": source.name, "verdict": found.verdict.value} | {
        f"digest.{name}": digest for name, digest in digests.items()
    }
    with runtime_of(project).tracker.run(f"drift {source.stem}", key=key, tags=tags) as run:
        run.params(settings.model_dump(mode="json"))
        run.metrics(found.figures("drift.window"))
        run.artifact(out)
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print(result, found, out / PAGE)


def _digests(folders: dict[str, Path]) -> dict[str, str]:
    """Payload digest of each input of the step, checked to belong together."""
    manifests = {name: read_manifest(folder) for name, folder in folders.items()}
    digests = {name: manifest.digest for name, manifest in manifests.items()}
    if manifests["compressed"].inputs.get("prepared") != digests["prepared"]:
        raise ArtifactError(
            "the model was made from other rows than these",
            where=str(folders["prepared"]),
            allowed=manifests["compressed"].inputs.get("prepared"),
            hint="dvc repro",
        )
    return digests


def _refuse_other(out: Path) -> None:
    """The report replaces its folder, so it must be one of ours, or empty."""
    if out.exists() and not (out / _RESULT).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "this is no report of an earlier window, and would be replaced",
            where=str(out),
            allowed="a new folder, an empty one, or such a report",
            hint="--out FOLDER",
        )


def _learned(window: Read, rows: Prepared) -> list[str]:
    if rows.features is not None:
        return []
    train = set(rows.split("train").inputs)
    n = sum(text in train for text in window.window.inputs)
    told = f"{n} of these rows are in train: nothing in them is unseen, and the model knows them"
    return [told] if n else []


def _result(name: str, window: Read, notes: list[str], found: WindowVerdict) -> dict[str, Any]:
    about = {"file": name, "found": window.found, "used": len(window.window)}
    return about | {"rejected": window.rejected, "notes": notes} | found.as_json()


def _print(result: dict[str, Any], found: WindowVerdict, page: Path) -> None:
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
    rejected = ", ".join(f"{n} {reason}" for reason, n in result["rejected"].items())
    lines = [f"rows: {result['found']} found, {result['used']} can be used"]
    lines += [f"rejected: {rejected}"] if rejected else []
    lines += result["notes"]
    lines.append(f"report: {os.path.relpath(page)}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
