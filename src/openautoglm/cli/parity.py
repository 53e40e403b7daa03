"""`openautoglm parity`: three callers, one table, exit 1 where they differ."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.parity.callers import CALLERS, called
from openautoglm.kubeflow.parity.compared import Row, compared
from openautoglm.kubeflow.parity.projects import copied, small
from openautoglm.steps.catalog import STEPS

_SHOWN = 19


def parity(project: Project, *, full: bool, keep: Path | None) -> int:
    """Run the chain by each caller and compare; 1 when something differs.

    Args:
        project: Whose chain.
        full: On all of its data, with its own parameters.
        keep: A new folder for the three runs; a temporary one when None.

    Raises:
        ConfigError: `keep` is there already.
        StepError: A caller did not end well.
    """
    if keep is not None and (keep.exists() or keep.is_symlink()):
        raise ConfigError("this is there already", where=str(keep), allowed="a new folder")
    folder = keep.absolute() if keep else Path(tempfile.mkdtemp(prefix="openautoglm-parity-"))
    try:
        start = folder / "project"
        if full:
            copied(project, start)
        else:
            small(project, start)
        outputs, seconds = {}, {}
        for name in CALLERS:
            began = time.perf_counter()
            outputs[name] = called(name, copied(Project(start), folder / name))
            seconds[name] = time.perf_counter() - began
        rows = compared(outputs)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    skipped = [name for name in STEPS if any(name not in places for places in outputs.values())]
    _print(rows, seconds, skipped)
    return 0 if all(row.equal for row in rows) else 1


def _print(rows: Sequence[Row], seconds: dict[str, float], skipped: Sequence[str]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column in ("", *CALLERS, ""):
        table.add_column(column)
    for row in rows:
        mark = "[green]equal[/]" if row.equal else "[red]differs[/]"
        table.add_row(row.name, *(_told(row, name) for name in CALLERS), mark)
    table.add_row("seconds", *(f"{seconds[name]:.1f}" for name in CALLERS), "")
    console.print(table)
    for row in rows:
        for file in row.differing:
            console.print(f"[red]differs:[/] {row.name} payload/{escape(file)}", highlight=False)
        if not (row.equal or row.differing):
            for name in CALLERS:
                told = f"{row.name}, {name}: {row.values[name]}"
                console.print(told, highlight=False, markup=False)
    differing = sum(not row.equal for row in rows)
    if differing:
        console.print(f"{differing} of {len(rows)} differ; look at both: parity --keep FOLDER")
    else:
        console.print(f"all {len(rows)} are equal: digests, metrics and receipts")
    if skipped:
        told = "the gate failed, so there is no version for Kubeflow's canary to begin with"
        console.print(f"not compared: {', '.join(skipped)}; {told}", highlight=False)


def _told(row: Row, caller: str) -> str:
    """A digest, a receipt's verdict, or the candidate's first metric."""
    value = row.values[caller]
    if value.startswith("sha256-"):
        return value[:_SHOWN]
    found = json.loads(value)
    if "verdict" in found:
        return str(found["verdict"])
    score = found.get("candidate", {}).get("macro_f1")
    return "" if score is None else f"{score:.4f}"
