"""The commands of a rollout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from openautoglm.deploy.local.folder import ServiceFolder

rollout_app = typer.Typer(
    help="Promote a challenger on evidence; roll it back when it is worse.", no_args_is_help=True
)
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The service.")]


def _folder(project: Path | None, name: str | None, *, deleted: bool = False) -> ServiceFolder:
    from openautoglm.cli.services import one_service
    from openautoglm.config.project import find_project

    return one_service(find_project(project), name, deleted=deleted)


@rollout_app.command()
def start(
    context: typer.Context,
    name: Name = None,
    challenger: Annotated[
        str, typer.Option(help="A version or alias of the service's model.")
    ] = "challenger",
    immediate: Annotated[
        bool,
        typer.Option("--immediate", help="All requests at once: to undo a promotion."),
    ] = False,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until the challenger is ready.", min=1.0)
    ] = 120.0,
) -> None:
    """Begin to give a challenger traffic; returns when it has some."""
    from openautoglm.cli.rollouts import start as run

    run(_folder(context.obj, name), challenger, immediate=immediate, seconds=wait)


@rollout_app.command()
def watch(context: typer.Context, name: Name = None) -> None:
    """Follow a rollout to its end; exits with 1 when it was rolled back."""
    from openautoglm.cli.rollouts import watch as run

    raise typer.Exit(run(_folder(context.obj, name)))


@rollout_app.command()
def history(
    context: typer.Context,
    name: Name = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a record a line.")] = False,
) -> None:
    """Print what was decided, why, and by whom, also of a service that was deleted."""
    from openautoglm.cli.rollouts import history as run

    run(_folder(context.obj, name, deleted=True), as_json=as_json)


@rollout_app.command()
def promote(
    context: typer.Context,
    name: Name = None,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the evidence says, on your name.")
    ] = False,
) -> None:
    """Wait no longer: all requests to the challenger, if it is no worse."""
    from openautoglm.cli.rollouts import ask

    ask(_folder(context.obj, name), "promote", forced=force)


@rollout_app.command()
def abort(context: typer.Context, name: Name = None) -> None:
    """Take every request back to the champion, and end the rollout."""
    from openautoglm.cli.rollouts import ask

    ask(_folder(context.obj, name), "abort")


@rollout_app.command()
def hold(context: typer.Context, name: Name = None) -> None:
    """Stay at the present weight; a challenger that is worse is rolled back all the same."""
    from openautoglm.cli.rollouts import ask

    ask(_folder(context.obj, name), "hold")


@rollout_app.command()
def resume(context: typer.Context, name: Name = None) -> None:
    """Go on from where it is held."""
    from openautoglm.cli.rollouts import ask

    ask(_folder(context.obj, name), "resume")


@rollout_app.command(hidden=True)
def settle(context: typer.Context, name: Name = None) -> None:
    """Bring the registry to what the ledger says; the controller calls it after a rollout."""
    from openautoglm.cli.settle import settle as run

    run(_folder(context.obj, name))
