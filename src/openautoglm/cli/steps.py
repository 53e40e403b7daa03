"""`openautoglm step NAME`: one thin caller for every step of the catalog."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openautoglm.errors import ConfigError
from openautoglm.steps.catalog import STEPS, Step

if TYPE_CHECKING:
    from openautoglm.config.project import Project
    from openautoglm.observability.tracking import TrackedRun
    from openautoglm.steps.runtime import Runtime

steps_app = typer.Typer(help="Run one step of the chain.", no_args_is_help=True)


def run_step(project: Project, step: Step, folders: Mapping[str, Path], out: Path) -> None:
    """Call a step with the project's parameters."""
    from openautoglm.config.params import Params, view
    from openautoglm.config.yaml import load

    params = view(load(project.params_file, Params), step.params)
    step.function(**folders, params=params, runtime=runtime_of(project), out=out)


def runtime_of(project: Project) -> Runtime:
    """The runtime of a project: its work folder, its tracking store, any device there is.

    `OPENAUTOGLM_WORKERS` and `OPENAUTOGLM_STUDY` say how a search is shared; no result depends
    on them, so they are no parameters.

    Raises:
        ConfigError: `OPENAUTOGLM_WORKERS` is no count.
    """
    from openautoglm.steps.runtime import Runtime

    return Runtime(
        work=project.work,
        project=project.root,
        tracker=_ProjectTracker(project),
        workers=_workers(),
        study=os.environ.get("OPENAUTOGLM_STUDY") or None,
    )


def _workers() -> int:
    given = os.environ.get("OPENAUTOGLM_WORKERS") or "1"
    if not given.isdecimal() or not int(given):
        raise ConfigError(
            f"found `{given}`",
            where="environment variable OPENAUTOGLM_WORKERS",
            allowed="a whole number of processes, at least 1",
        )
    return int(given)


class _ProjectTracker:
    """The project's MLflow, imported when the first run is opened: most steps open none."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @contextmanager
    def run(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        from openautoglm.registry.tracker import tracker_of

        with tracker_of(self._project).run(name, key=key, tags=tags) as run:
            yield run


def _command(step: Step) -> Callable[..., None]:
    def command(context: typer.Context, **given: Path | None) -> None:
        from openautoglm.config.project import find_project

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
