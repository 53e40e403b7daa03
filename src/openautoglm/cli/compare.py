"""`openautoglm compare A B`: the verdict in the terminal, the rest in MLflow."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from openautoglm.config.params import Params
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.observability.progress import working_on
from openautoglm.registry.compare import Compared, compare_versions
from openautoglm.registry.store import open_store

_SHOWN_CLASSES = 8


def compare(project: Project, a: str, b: str) -> None:
    """Compare two versions of the project's model and print what was found.

    Raises:
        InputError: A name is unknown, both are one version, or they share too few test rows.
        StoreError: The registry does not answer.
    """
    working_on("compare")
    params = load(project.params_file, Params)
    store = open_store(project)
    found = compare_versions(store, params.model.name, a, b, params.register_)
    console = Console()
    console.print(f"[bold]{found.verdict}[/]\n", highlight=False)
    console.print(_classes(found))
    console.print()
    if found.params:
        console.print(_params(found))
    else:
        console.print("No parameter and no digest differs.")
    where = store.uri if store.uri.startswith("http") else "http://127.0.0.1:5000"
    lines = [
        f"\nwritten to MLflow: run {found.run}, with the plot of all classes",
        f"side by side:      {where.rstrip('/')}{found.page}",
    ]
    if not store.uri.startswith("http"):
        lines.append("                   (first: mlflow ui)")
    for line in lines:
        # Not folded: a URL in two lines cannot be opened.
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _classes(found: Compared) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("class", f"F1 of A: {found.a}", f"B: {found.b}", "A - B"):
        table.add_column(column, justify="left" if column == "class" else "right")
    first, second = found.comparison.f1
    # A class that one of them has no F1 for comes last.
    order = sorted(range(len(first)), key=lambda i: -np.nan_to_num(abs(first[i] - second[i])))
    for place in order[:_SHOWN_CLASSES]:
        a, b = first[place], second[place]
        label = found.comparison.labels[place]
        table.add_row(label, f"{a:.3f}", f"{b:.3f}", f"{a - b:+.3f}")
    return table


def _params(found: Compared) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("what differs", "A", "B"):
        table.add_column(column, overflow="fold")
    for name, (a, b) in found.params.items():
        table.add_row(name, _short(a), _short(b))
    return table


def _short(value: str) -> str:
    return value[:19] if value.startswith("sha256-") else value
