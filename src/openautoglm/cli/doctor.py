"""`openautoglm doctor`: the checks as a table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openautoglm.cli.checks import PROFILES, checks
from openautoglm.config.project import find_project
from openautoglm.errors import ConfigError

_MARKS = {
    "ok": "[green]ok[/]",
    "note": "[blue]note[/]",
    "short": "[yellow]short[/]",
    "broken": "[red]broken[/]",
}


def doctor(folder: Path | None, profile: str) -> int:
    """Print the table; 1 when something is broken, 0 otherwise.

    Raises:
        ConfigError: There is no such profile, or `folder` is given and no project.
    """
    if profile not in PROFILES:
        raise ConfigError(f"no profile `{profile}`", where="--profile", allowed=", ".join(PROFILES))
    try:
        project = find_project(folder)
    except ConfigError:
        if folder is not None:
            raise
        project = None
    console = Console()
    table = Table(title=f"profile {profile}", title_justify="left", box=None, pad_edge=False)
    for column in ("", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    broken = 0
    with console.status("looking"):
        for check in checks(project, PROFILES[profile]):
            table.add_row(
                check.name, _MARKS[check.level], escape(check.found), escape(check.advice)
            )
            broken += check.level == "broken"
    console.print(table)
    return 1 if broken else 0
