"""What the commands of a rollout do: they write what people want, and show what comes of it."""

from __future__ import annotations

from time import sleep

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openautoglm.cli.services import decided_by
from openautoglm.deploy.ledger import Record, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.waiting import see_to
from openautoglm.deploy.rollout_record import Wish
from openautoglm.errors import DeployError
from openautoglm.observability.progress import working_on
from openautoglm.rollout.following import Following
from openautoglm.rollout.requests import ask as request
from openautoglm.rollout.requests import begin, standing, until, words
from openautoglm.rollout.telling import Told

_LOOK_SECONDS = 0.1
_WIDTH = 200
_COLOURS = {"no_worse": "green", "worse": "red", "undecided": "yellow"}


def start(folder: ServiceFolder, challenger: str, *, immediate: bool, seconds: float) -> None:
    """Begin a rollout, and wait until the challenger has traffic.

    Args:
        folder: The service's.
        challenger: A version or alias.
        immediate: All requests at once.
        seconds: How long to wait.

    Raises:
        ConfigError: There is no such version, or it serves already, or a setting cannot be.
        BusyError: Another rollout is open, or another command is at work.
        DeployError: It does not become ready; the rollout goes on until its deadline.
    """
    working_on("rollout")
    begin(folder, challenger, by=decided_by(), immediate=immediate)
    now = until(folder, seconds, lambda now: now.state != "pending")
    if now.state == "rolled_back":
        raise DeployError(
            f"{folder.name}: {words(now)}",
            where=str(folder.logs),
            hint=f"openautoglm logs {folder.name}",
        )
    print(f"{folder.name}: {words(now)}")
    print(f"  openautoglm rollout watch {folder.name}")


def ask(folder: ServiceFolder, wish: Wish, *, forced: bool = False) -> None:
    """Ask something of the open rollout, and show the controller's answer.

    Raises:
        ConfigError: No rollout is open.
        BusyError: What was asked for is refused; the message says why.
        DeployError: The controller does not answer.
    """
    working_on("rollout")
    print(f"{folder.name}: {words(request(folder, wish, by=decided_by(), forced=forced))}")


def watch(folder: ServiceFolder) -> int:
    """Follow the rollout that is open, or show how the last one ended.

    Returns:
        0 when it was promoted, 1 when it was rolled back.

    Raises:
        ConfigError: The last decision is of no rollout.
    """
    see_to(folder)
    console, number = _console(), standing(folder).id
    following = Following(folder, number)
    while True:
        look = following.look()
        for record in look.news:
            console.print(_line(record), highlight=False)
        if look.now.ended:
            run = f"rollout {folder.name} {number}"
            console.print(f"  report and curves: mlflow ui, run `{run}`", highlight=False)
            return 0 if look.now.state == "promoted" else 1
        if look.told:
            console.print(_metrics(look.told))
            for why in look.told.lacking:
                console.print(f"  [dim]{escape(why)}[/]", highlight=False)
        sleep(_LOOK_SECONDS)


def history(folder: ServiceFolder, *, as_json: bool) -> None:
    """Print the ledger's decisions about traffic, the first one first."""
    console = _console()
    for record in read(folder.ledger):
        if as_json:
            print(record.model_dump_json(exclude_defaults=True))
        else:
            console.print(_line(record), highlight=False)


def _console() -> Console:
    """Where nobody looks at a terminal, no line is to be cut to its width."""
    console = Console(soft_wrap=True)
    return console if console.is_terminal else Console(soft_wrap=True, width=_WIDTH)


def _line(record: Record) -> str:
    """One decision: when, what, who has which share, why, and who decided."""
    time = record.time[:19].replace("T", " ")
    shares = " ".join(f"{role}={weight}" for role, weight in record.weights.items())
    shares += f" shadow={record.shadow}" if record.shadow else ""
    if record.request:
        what, why = f"rollout {record.request.id}", f"asked to {record.request.wish}"
    elif record.rollout:
        state = record.rollout.state.replace("_", " ")
        what, why = (
            f"rollout {record.rollout.id}",
            f"{state}: {record.note or record.rollout.reason}",
        )
    else:
        what, why = record.kind, record.note
    return f"[dim]{time}[/]  {what:11}  {shares:28}  {escape(why)}  [dim]{escape(record.by)}[/]"


def _metrics(told: Told) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 2))
    for name in ("metric", "champion", "challenger", "difference can be", "verdict"):
        table.add_column(name)
    for one in told.metrics:
        arms = [
            "-" if value is None else f"{100 * value:.2f} % of {n}"
            for value, n in zip(one.values, one.n, strict=True)
        ]
        low, high = (100 * bound for bound in one.interval)
        colour = _COLOURS["no_worse" if one.passed and one.verdict != "worse" else one.verdict]
        verdict = f"[{colour}]{one.word}[/]"
        table.add_row(one.metric, *arms, f"{low:+.2f} to {high:+.2f} points", verdict)
    return table
