"""The commands of Kubeflow pipelines; `parity` compares them with the other callers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openautoglm.errors import ConfigError

if TYPE_CHECKING:
    from openautoglm.config.project import Project

pipeline_app = typer.Typer(
    help="The chain as Kubeflow pipelines: here, on a cluster, on a schedule.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="training, canary, retrain, your own.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Over params.yaml: train.lr=3e-4."),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option("--argument", metavar="NAME=VALUE", help="Of the pipeline: revision=v2."),
]
Image = Annotated[
    str | None,
    typer.Option(metavar="NAME@sha256:...", help="Instead of pipelines/settings.yaml's image."),
]


def _project(given: Path | None) -> Project:
    from openautoglm.config.project import find_project

    if importlib.util.find_spec("kfp") is None:
        raise ConfigError(
            "Kubeflow's SDK is not installed",
            where="extra `kubeflow`",
            hint="pip install -c constraints.txt -e '.[kubeflow]'",
        )
    return find_project(given)


@pipeline_app.command()
def run(context: typer.Context, name: Name, sets: Sets = None, arguments: Arguments = None) -> None:
    """Run a pipeline on this machine with Kubeflow's local runner; no cluster."""
    project = _project(context.obj)
    from openautoglm.cli.pipelines import run as call

    call(project, name, sets or [], arguments or [])


@pipeline_app.command("compile")
def compile_(
    context: typer.Context,
    name: Name,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The file; NAME.yaml.")] = None,
    sets: Sets = None,
    image: Image = None,
) -> None:
    """Compile a pipeline for a cluster and check it; nothing is sent."""
    project = _project(context.obj)
    from openautoglm.cli.pipelines import compile_ as call

    call(project, name, out or Path(f"{name}.yaml"), sets or [], image)


Host = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The server; or OPENAUTOGLM_KUBEFLOW_HOST."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with a bearer token, or OPENAUTOGLM_KUBEFLOW_TOKEN.", dir_okay=False),
]
Authority = Annotated[Path | None, typer.Option("--ca", help="Certificates to trust instead.")]
Namespace = Annotated[str | None, typer.Option(help="Whose, on a server of several users.")]
Seconds = Annotated[float, typer.Option("--timeout", min=1.0, help="Seconds for one answer.")]


@pipeline_app.command()
def submit(
    context: typer.Context,
    name: Name,
    host: Host = None,
    sets: Sets = None,
    arguments: Arguments = None,
    image: Image = None,
    experiment: Annotated[
        str | None, typer.Option(help="Instead of pipelines/settings.yaml's experiment.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    token_file: TokenFile = None,
    ca: Authority = None,
    namespace: Namespace = None,
    timeout: Seconds = 30.0,
) -> None:
    """Check a pipeline and begin a run of it on a cluster."""
    project = _project(context.obj)
    from openautoglm.cli.pipeline_server import submit as call
    from openautoglm.kubeflow.connection import connection

    call(
        project,
        name,
        connection=connection(
            host, token_file=token_file, ca=ca, namespace=namespace, timeout=timeout
        ),
        sets=sets or [],
        arguments=arguments or [],
        image=image,
        experiment=experiment,
        wait=wait,
    )


@pipeline_app.command()
def schedule(
    context: typer.Context,
    host: Host = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would change; change nothing.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show what the server has.")] = False,
    delete: Annotated[str | None, typer.Option(metavar="NAME", help="Delete one of ours.")] = None,
    image: Image = None,
    token_file: TokenFile = None,
    ca: Authority = None,
    namespace: Namespace = None,
    timeout: Seconds = 30.0,
) -> None:
    """Bring a server's schedules to what pipelines/schedules.yaml declares."""
    if plan + listed + (delete is not None) > 1:
        raise typer.BadParameter("give at most one of --plan, --list and --delete NAME")
    project = _project(context.obj)
    from openautoglm.cli import pipeline_server
    from openautoglm.kubeflow.connection import connection

    server = connection(host, token_file=token_file, ca=ca, namespace=namespace, timeout=timeout)
    if listed:
        pipeline_server.list_schedules(project, connection=server)
    elif delete is not None:
        pipeline_server.delete_schedule(project, delete, connection=server)
    else:
        pipeline_server.schedule(project, connection=server, image=image, plan_only=plan)


def parity(
    context: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="On the project's data; on a small part without it.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="A new folder for the three runs; removed without it.")
    ] = None,
) -> None:
    """Show that direct calls, dvc repro and Kubeflow give equal digests, metrics and receipts."""
    project = _project(context.obj)
    from openautoglm.cli.parity import parity as call

    raise typer.Exit(call(project, full=full, keep=keep))
