"""`openautoglm status`: what each service of the project does, as tables or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from openautoglm.deploy.local.apply import look
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.status import ProcessStatus, Status

_COLOURS = {"ready": "green", "failing": "red", "starting": "yellow", "stopping": "yellow"}


def status(folders: Sequence[ServiceFolder], *, as_json: bool) -> int:
    """Print the status of services, seeing to it that somebody looks after each.

    Args:
        folders: The services.
        as_json: One JSON object, by name, instead of tables.

    Returns:
        0 when all are healthy, else 1.
    """
    found = {folder.name: look(folder) for folder in folders}
    if as_json:
        told = {name: seen.model_dump() if seen else None for name, seen in found.items()}
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        console = Console()
        for name, seen in found.items():
            for part in _page(name, seen):
                console.print(part, highlight=False)
    return 0 if all(seen and seen.healthy for seen in found.values()) else 1


def _page(name: str, seen: Status | None) -> Iterator[str | Table]:
    if seen is None:
        yield f"[bold]{name}[/]  [red]its controller tells nothing[/]: openautoglm logs {name}"
        return
    state = "[green]healthy[/]" if seen.healthy else f"[yellow]{seen.doing or 'not healthy'}[/]"
    yield f"[bold]{name}[/]  {state}  {seen.url}"
    for problem in seen.problems:
        yield f"  [red]problem:[/] {problem}"
    roles = _table("role", "version", "served", "model", "requests", "replicas")
    for role, of in seen.roles.items():
        share = f"{of.weight} %" + (f", copies of {of.shadow} %" if of.shadow else "")
        release = of.release
        roles.add_row(
            role,
            release.version,
            f"{release.family} {release.variant}",
            release.digest[:19],
            share,
            f"{of.ready} of {of.wanted}",
        )
    yield roles
    processes = _table("process", "pid", "state", "port", "CPU")
    for process in sorted(seen.processes, key=lambda one: (one.kind, one.unit)):
        processes.add_row(process.unit, *_cells(process))
    yield processes


def _cells(process: ProcessStatus) -> tuple[str, str, str, str]:
    colour = _COLOURS.get(process.state, "white")
    return (
        str(process.pid or ""),
        f"[{colour}]{process.state}[/]",
        str(process.port or ""),
        "" if process.cpu is None else f"{100 * process.cpu:.0f} %",
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 2))
    for column in columns:
        table.add_column(column)
    return table
