"""The page that `make run` ends with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.cli import tables
from openautoglm.cli.verify import Facts
from openautoglm.config.project import Project
from openautoglm.data.prepared import REJECTED, Prepared, read
from openautoglm.errors import ArtifactError
from openautoglm.inference.package import read_choice, read_package
from openautoglm.registry.versions import CHALLENGER, CHAMPION

_SHOWN_CLASSES = 16
_PREPARED, _COMPRESSED, _EVALUATION = "data/prepared", "models/compressed", "reports/evaluation"


def print_page(project: Project, facts: Facts, console: Console | None = None) -> None:
    """Print data, quality, model, registration and what to type next.

    Args:
        project: The project.
        facts: What `verify` found.
        console: Where to; standard output when None.
    """
    console = console or Console()
    verdict = _json(project.root / _EVALUATION, "verdict.json")
    metrics = _json(project.root / _EVALUATION, "metrics.json")
    console.print()
    if verdict["verdict"] != "pass":
        text = Text(f"The gate failed, so nothing was registered.\n{verdict['reason']}")
        console.print(Panel(text, title="gate failed", border_style="red"))
    for sentence in facts.mended:
        console.print(f"[yellow]mended:[/] {sentence}", highlight=False)
    for title, lines in (
        ("data", _data(project)),
        ("best trials", tables.trials(project)),
        ("quality on test", [_quality(metrics)]),
        ("", _gate(metrics, verdict)),
        ("model", _model(project)),
        ("", tables.variants(project)),
        ("drift", tables.windows(project)),
        ("registry", _registry(facts)),
        ("next", _next(project, facts)),
    ):
        if title:
            console.print(f"\n[bold]{title}[/]")
        for line in lines:
            console.print(line, highlight=False, markup=False)


def _data(project: Project) -> Iterator[str]:
    folder = project.root / _PREPARED
    try:
        prepared = read(folder)
    except ArtifactError:  # pulled without the data: the rest of the page still holds
        yield f"{_PREPARED} is not here: dvc pull"
        return
    used = sum(prepared.rows.values())
    yield f"{prepared.found} rows found, {used} used, in {len(prepared.labels)} classes"
    yield _classes(prepared)
    yield ", ".join(f"{name} {count}" for name, count in prepared.rows.items())
    rejected = sum(prepared.rejected.values())
    if rejected:
        most = sorted(prepared.rejected.items(), key=lambda pair: -pair[1])
        yield f"{rejected} rejected: " + ", ".join(f"{count} {reason}" for reason, count in most)
        yield f"each with its row and reason: {_PREPARED}/{REJECTED}"
    else:
        yield "none rejected"


def _classes(prepared: Prepared) -> str:
    most = sorted(prepared.classes.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{label} {count}" for label, count in most[:_SHOWN_CLASSES])
    more = len(most) - _SHOWN_CLASSES
    return shown + (f" and {more} more" if more > 0 else "")


def _quality(metrics: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("", "macro F1", "accuracy"):
        table.add_column(column, no_wrap=bool(column))
    candidate, fallback = metrics["candidate"], metrics["fallback"]
    rows = [(f"candidate: {candidate['family']} {candidate['variant']}", candidate)]
    if fallback:
        rows.append((f"fallback: {fallback['family']}", fallback))
    rows.append(("baseline: TF-IDF", metrics["baseline"]))
    for name, part in rows:
        table.add_row(name, _spread(part, "macro_f1"), _spread(part, "accuracy"))
    return table


def _spread(part: dict[str, float], metric: str) -> str:
    low, high = part[f"{metric}_low"], part[f"{metric}_high"]
    return f"{part[metric]:.4f} [{low:.4f}, {high:.4f}]"


def _gate(metrics: dict[str, Any], verdict: dict[str, str]) -> Iterator[str]:
    yield f"{metrics['rows']} rows; intervals in brackets; report: {_EVALUATION}/report.html"
    yield f"gate {verdict['verdict']}: {verdict['reason']}"


def _model(project: Project) -> Iterator[str]:
    folder = project.root / _COMPRESSED
    package, choice = read_package(folder), read_choice(folder)
    variant = package.families[choice.family].variants[choice.variant]
    yield f"served: {choice.family} {choice.variant}, {variant.bytes / 1e6:.1f} MB"
    yield f"why: {choice.reason}"


def _registry(facts: Facts) -> Iterator[str]:
    if facts.version is None:
        yield f"not registered: {facts.receipt.reason}"
    else:
        mine = [alias for alias, version in facts.aliases.items() if version == facts.version]
        yield f"{facts.model} version {facts.version}: {', '.join(mine) or 'no alias'}"
        if facts.against:
            yield f"against the champion when it was registered: {facts.against}"
        if facts.canary is None:
            yield f"canary: not tried here, because {_PREPARED} is missing: dvc pull"
        else:
            yield f"canary: {facts.canary.verdict}: {facts.canary.reason}"
    others = [f"{a} is version {v}" for a, v in facts.aliases.items() if v != facts.version]
    if others:
        yield "; ".join(others)


def _next(project: Project, facts: Facts) -> Iterator[str | Table]:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    if CHAMPION in facts.aliases and project.config_file.is_file():
        table.add_row("openautoglm deploy -c config.yaml", "the champion, behind a gateway")
    table.add_row("mlflow ui", "every run and version, at http://127.0.0.1:5000")
    if {CHAMPION, CHALLENGER} <= set(facts.aliases):
        table.add_row(f"openautoglm compare {CHAMPION} {CHALLENGER}", "A beside B")
    ready = facts.canary is not None and facts.canary.verdict == "ready"
    if ready and facts.version != facts.aliases.get(CHAMPION):
        table.add_row(
            f"openautoglm rollout start --challenger {facts.version}", "to the live service"
        )
    if (project.root / "models/tuned/study.db").is_file():
        table.add_row(
            "optuna-dashboard sqlite:///models/tuned/study.db", "the trials (extra `dashboard`)"
        )
    table.add_row("dvc exp run -S train.lr=3e-4", "the registry stays as it is")
    yield table
    if CHAMPION in facts.aliases:
        yield "in Python:"
        yield "  import mlflow"
        yield f'  model = mlflow.pyfunc.load_model("models:/{facts.model}@{CHAMPION}")'
        yield '  model.predict(["..."])'


def _json(folder: Path, name: str) -> Any:
    return json.loads((folder / PAYLOAD / name).read_text(encoding="utf-8"))
