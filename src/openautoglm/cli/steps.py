"""`openautoglm step NAME`: one thin caller for every step of the catalog."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from openautoglm.steps.catalog import STEPS, Step

steps_app = typer.Typer(help="Run one step of the chain.", no_args_is_help=True)


def _command(step: Step) -> Callable[..., None]:
    def command(context: typer.Context, **given: Path | None) -> None:
        from openautoglm.config.project import find_project
        from openautoglm.steps.caller import run_step

        project = find_project(context.obj)
        places = {**step.inputs, "out": step.out}
        folders = {name: given[name] or project.root / place for name, place in places.items()}
        out = folders.pop("out")
        run_step(project, step, folders, out)

    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    options = [_option(name, place, "input folder") for name, place in step.inputs.items()] + [
        _option("out", step.out, "folder to write")
    ]
    # typer reads both of these.
    signature: Any = inspect.Signature([context, *options])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (context, *options)}
    command.__doc__ = step.summary[0].upper() + step.summary[1:] + "."
    return command


def _option(name: str, place: str, help_: str) -> inspect.Parameter:
    kind = Annotated[Path | None, typer.Option(help=help_, show_default=place)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


for _step in STEPS.values():
    steps_app.command(_step.name)(_command(_step))
