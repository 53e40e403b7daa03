"""`openautoglm`: the commands, and the one place where an error becomes an exit code.

Modules that import more than the standard library and typer are imported inside the commands
that need them, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from openautoglm import __version__
from openautoglm.artifacts.disk import disk_problem
from openautoglm.cli.live import live_app
from openautoglm.cli.pipeline import parity, pipeline_app
from openautoglm.cli.rollout import rollout_app
from openautoglm.cli.steps import steps_app
from openautoglm.errors import OpenAutoGLMError
from openautoglm.observability.collector import leave_at_once
from openautoglm.observability.openmp import spin_shortly

app = typer.Typer(
    name="openautoglm",
    help="A text model from data to live traffic. Start with `make run`, or `dvc repro`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(steps_app, name="step")
app.add_typer(live_app)
app.add_typer(rollout_app, name="rollout")
app.add_typer(pipeline_app, name="pipeline")
app.command()(parity)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"openautoglm {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(help="Folder of params.yaml and dvc.yaml; the nearest parent without it."),
    ] = None,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Run before every command."""
    if debug:
        os.environ["OPENAUTOGLM_DEBUG"] = "1"
    context.obj = project


@app.command()
def verify(context: typer.Context) -> None:
    """Repeat effects whose receipt is no longer true, then show the results on one page."""
    from openautoglm.cli.page import print_page
    from openautoglm.cli.verify import verify as mend
    from openautoglm.config.project import find_project

    project = find_project(context.obj)
    print_page(project, mend(project))


@app.command()
def tidy(context: typer.Context) -> None:
    """Remove what a killed command left half-written; `make run` begins with it."""
    from openautoglm.cli.tidy import tidy as run
    from openautoglm.config.project import find_project

    run(find_project(context.obj))


@app.command()
def compare(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="A version or alias: 3, champion.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Compare two registered versions on the rows both were tested on; writes one MLflow run."""
    from openautoglm.cli.compare import compare as run
    from openautoglm.config.project import find_project

    run(find_project(context.obj), a, b)


@app.command()
def drift(
    context: typer.Context,
    current: Annotated[
        Path | None, typer.Option(help="The window: CSV, TSV, JSONL, JSON or Parquet.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Instead of a file: what this service was asked.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Its text column; data.text without it.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Its label column; data.label without it, if there is one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; reports/drift-windows/NAME without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare a window of rows, with or without labels, with the reference split."""
    from openautoglm.cli.drift import drift as run
    from openautoglm.cli.drift import drift_service
    from openautoglm.cli.services import one_service
    from openautoglm.config.project import find_project

    if (current is None) == (service is None):
        raise typer.BadParameter("give either --current FILE or --service NAME")
    if service is not None and (text or label):
        raise typer.BadParameter("--text and --label name columns of a file")
    project = find_project(context.obj)
    if current is not None:
        run(project, current, text=text, label=label, out=out, as_json=as_json)
    else:
        drift_service(project, one_service(project, service), out=out, as_json=as_json)


@app.command()
def doctor(
    context: typer.Context,
    profile: Annotated[str, typer.Option(help="dev or production.")] = "dev",
) -> None:
    """Check machine, optional parts and stores, and say what to do about each."""
    from openautoglm.cli.doctor import doctor as run

    raise typer.Exit(run(context.obj, profile))


@app.command()
def schema(
    page: Annotated[
        str, typer.Argument(help="params, service, serving, pipelines or schedules: whose keys.")
    ] = "params",
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="As in docs: one table a section.")
    ] = False,
) -> None:
    """Print the JSON Schema of every key."""
    from openautoglm.cli.schema import Page, json_schema, markdown

    try:
        chosen = Page(page)
    except ValueError:
        raise typer.BadParameter(f"`{page}` is none of {', '.join(Page)}") from None
    typer.echo(markdown(chosen) if as_markdown else json_schema(chosen), nl=False)


@app.command()
def stages() -> None:
    """Print the stages of dvc.yaml as the steps' own list has them."""
    from openautoglm.steps.stages import dvc_yaml

    typer.echo(dvc_yaml(), nl=False)


def main() -> NoReturn:
    """Run a command; exit with 2 for bad input, 1 for a fault, 130 when interrupted."""
    spin_shortly()
    leave_at_once()
    try:
        app()
    except OpenAutoGLMError as error:
        _fail(error)
    except Exception as error:
        full = disk_problem(error)
        if full is None:
            raise
        _fail(full)
    sys.exit(0)


def _fail(error: OpenAutoGLMError) -> NoReturn:
    if os.environ.get("OPENAUTOGLM_DEBUG"):
        raise error
    label = "error" if error.exit_code == 2 else "fault"
    typer.secho(f"{label}: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
    typer.echo(str(error), err=True)
    sys.exit(error.exit_code)
