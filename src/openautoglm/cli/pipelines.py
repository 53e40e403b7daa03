"""What `openautoglm pipeline run` and `compile` do and print."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from openautoglm.artifacts.folder import write_text
from openautoglm.artifacts.manifest import MANIFEST, read_manifest
from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.compiling import compiled
from openautoglm.kubeflow.running import Ran
from openautoglm.kubeflow.running import run as run_pipeline
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.effect import RECEIPT
from openautoglm.steps.shown import gate


def run(project: Project, name: str, sets: Sequence[str], arguments: Sequence[str]) -> None:
    """Run a pipeline here, and print what came of it.

    Raises:
        ConfigError: Settings, parameters or the pipeline are not as they must be.
        StepError: A task failed.
    """
    _print(project, name, run_pipeline(project, name, sets=sets, arguments=arguments))


def compile_(
    project: Project, name: str, out: Path, sets: Sequence[str], image: str | None
) -> None:
    """Write a pipeline's IR.

    Raises:
        ConfigError: Settings, parameters or the pipeline are not as they must be.
    """
    working_on("pipeline")
    if not out.parent.is_dir():
        raise ConfigError("there is no such folder", where=str(out.parent), hint="-o FILE")
    if out.is_dir():
        raise ConfigError("this is a folder", where=str(out), hint=f"-o {out / name}.yaml")
    found = compiled(project, name, image=image, sets=sets)
    write_text(out, found.text)
    say(f"{len(found.places)} tasks, {found.digest[:19]}")
    print(out)


def _print(project: Project, name: str, ran: Ran) -> None:
    console = Console()
    console.print()
    evaluation = ran.outputs.get("evaluation")
    verdict, reason = gate(evaluation) if evaluation else ("pass", "")
    if verdict != "pass":
        text = Text(f"The gate failed, so nothing was registered.\n{reason}")
        console.print(Panel(text, title="gate failed", border_style="red"))
    for title, told in (*_decision(ran), *_receipts(ran)):
        console.print(f"[bold]{title}[/] {escape(told)}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("output", "digest", "folder"):
        table.add_column(column, overflow="fold")
    for output, folder in ran.outputs.items():
        digest = read_manifest(folder).digest[:19] if (folder / MANIFEST).is_file() else ""
        table.add_row(output, digest, str(folder.relative_to(ran.folder)))
    console.print()
    console.print(table)
    where = f"in {os.path.relpath(ran.folder)}"
    console.print(where, highlight=False, soft_wrap=True, markup=False)
    console.print()
    console.print(_next(name, registered=verdict == "pass"))


def _decision(ran: Ran) -> Iterator[tuple[str, str]]:
    """Whether retrain begins a retraining, and why."""
    for file in ran.folder.rglob("decide/decision"):
        title, _, reason = file.read_text(encoding="utf-8").partition("\n\n")
        yield f"{title.removeprefix('# ')}:", reason.strip()


def _receipts(ran: Ran) -> Iterator[tuple[str, str]]:
    for output, folder in ran.outputs.items():
        if (folder / RECEIPT).is_file():
            found = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
            if found["verdict"] != "fail":  # that is told first of all
                yield f"{output}: {found['verdict']}:", found["reason"]


def _next(name: str, *, registered: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    if name == "training" and registered:
        table.add_row("openautoglm pipeline run canary", "beside the champion: promoted, or not")
    table.add_row("mlflow ui", "every run and version, at http://127.0.0.1:5000")
    table.add_row(f"openautoglm pipeline compile {name} --image ...", "for a cluster")
    return table
