"""`openautoglm status`: what each service of the project does, as tables or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from openautoglm.deploy.ledger import last
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.status import ProcessStatus, Status
from openautoglm.deploy.local.waiting import fresh, see_to
from openautoglm.errors import OpenAutoGLMError

_COLOURS = {"ready": "green", "failing": "red", "not ready": "red"}

_WIDTH = 160


def status(folders: Sequence[ServiceFolder], *, as_json: bool) -> int:
    """Print the status of services, seeing to it that somebody looks after each.

    Args:
        folders: The services.
        as_json: One JSON object, by name, instead of tables.

    Returns:
        0 when all are healthy, else 1.
    """
    found = {folder.name: _look(folder) for folder in folders}
    if as_json:
        told = {
            name: {"healthy": False, "problems": [seen]} if isinstance(seen, str) else dict(seen)
            for name, seen in found.items()
        }
        print(json.dumps(told, ensure_ascii=False, indent=2, default=lambda one: one.model_dump()))
    else:
        console = Console()
        # Where nobody looks at a terminal, no name is to be cut to its width.
        console = console if console.is_terminal else Console(width=max(console.width, _WIDTH))
        for name, seen in found.items():
            for part in _page(name, seen):
                console.print(part, highlight=False)
    return 0 if all(isinstance(seen, Status) and seen.healthy for seen in found.values()) else 1


def _look(folder: ServiceFolder) -> Status | str:
    """The status of now, or why there is none; a command at work on it looks after it itself."""
    try:
        if last(folder.ledger) is None:
            return f"its delete was cut off: openautoglm delete {folder.name}"
        see_to(folder)
        return fresh(folder) or f"its controller tells nothing: openautoglm logs {folder.name}"
    except OpenAutoGLMError as error:  # of one service: the others are shown all the same
        return str(error)


def _page(name: str, seen: Status | str) -> Iterator[str | Table]:
    if isinstance(seen, str):
        yield f"[bold]{name}[/]  [red]not healthy[/]: {seen}"
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
    colour = _COLOURS.get(process.state, "yellow")
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
