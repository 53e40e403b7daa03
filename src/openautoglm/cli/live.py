"""The commands of live traffic: a service and its life, one replica, and asking either."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

live_app = typer.Typer()


@live_app.command()
def deploy(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The file; config.yaml of the project without it."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only print what would be done.")] = False,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until it is healthy.", min=1.0)
    ] = 120.0,
) -> None:
    """Serve a model as config.yaml says, behind a gateway; returns when it is healthy."""
    from openautoglm.cli.deploy import deploy as run
    from openautoglm.config.project import find_project

    project = find_project(context.obj)
    run(project, config or project.config_file, plan_only=plan, seconds=wait)


@live_app.command()
def status(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A service; all without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is deployed, and how it is; exits with 1 when something is not healthy."""
    from openautoglm.cli.services import one_service, services
    from openautoglm.cli.status import status as run
    from openautoglm.config.project import find_project

    project = find_project(context.obj)
    found = [one_service(project, name)] if name else services(project)
    raise typer.Exit(run(found or [one_service(project, None)], as_json=as_json))


@live_app.command()
def weights(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="ROLE=PERCENT...", help="champion=95 challenger=5; they sum to 100."
        ),
    ],
    shadow: Annotated[
        int, typer.Option(help="Percent of requests the challenger gets copies of.", min=0, max=100)
    ] = 0,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until they are in force.", min=1.0)
    ] = 120.0,
) -> None:
    """Split a service's requests between champion and challenger, by hand."""
    from openautoglm.cli.services import one_service
    from openautoglm.cli.weights import weights as run
    from openautoglm.config.project import find_project

    run(one_service(find_project(context.obj), name), given, shadow=shadow, seconds=wait)


@live_app.command()
def logs(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The service.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="Only processes whose names begin so: replica, gateway.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Of each process.", min=0)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on, until Ctrl-C.")] = False,
) -> None:
    """Print what a service's processes wrote."""
    from openautoglm.cli.logs import logs as run
    from openautoglm.cli.services import one_service
    from openautoglm.config.project import find_project

    run(one_service(find_project(context.obj), name), unit=unit, lines=lines, follow=follow)


@live_app.command()
def delete(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The service.")] = None,
) -> None:
    """End a service: requests under way are answered, then all its processes end."""
    from openautoglm.cli.delete import delete as run
    from openautoglm.cli.services import one_service
    from openautoglm.config.project import find_project

    run(one_service(find_project(context.obj), name))


@live_app.command()
def serve(
    model: Annotated[Path, typer.Option(help="A compressed model: `payload/`, `choice.json`.")],
    digest: Annotated[
        str | None, typer.Option(help="What its payload must have; its manifest's without it.")
    ] = None,
    name: Annotated[str, typer.Option(help="What clients call the model.")] = "model",
    version: Annotated[
        str | None, typer.Option(help="What answers carry; the digest's first digits without it.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Not the chosen family.")] = None,
    variant: Annotated[str | None, typer.Option(help="Not the chosen variant.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="HTTP; 0 takes a free port.", min=0, max=65535)] = 8080,
    grpc_port: Annotated[
        int, typer.Option(help="gRPC; 0 takes a free port, -1 none.", min=-1, max=65535)
    ] = 8081,
    reuse_port: Annotated[
        bool, typer.Option("--reuse-port", help="Share the ports with other replicas.")
    ] = False,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file of the keys in docs/serving-settings.md.")
    ] = None,
    assigned: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One such key; may be given again."),
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(help="YAML file of the keys in docs/feedback.md, to keep answers."),
    ] = None,
) -> None:
    """Serve a compressed model over HTTP and gRPC: one replica, until SIGTERM."""
    from openautoglm.cli.serve import serve as run
    from openautoglm.serving.listen import Places

    run(
        model,
        digest=digest,
        name=name,
        version=version,
        family=family,
        variant=variant,
        places=Places(host, port, None if grpc_port < 0 else grpc_port, reuse_port),
        settings_file=settings,
        assigned=assigned or (),
        feedback_file=feedback,
    )


@live_app.command(hidden=True)
def control(
    root: Annotated[Path, typer.Argument(help="The project.")],
    name: Annotated[str, typer.Argument(help="The service.")],
    code: Annotated[str, typer.Argument(help="Marks the code that was deployed.")],
) -> None:
    """Look after a service until SIGTERM; what its supervisor keeps alive."""
    from openautoglm.cli.control import control as run

    run(root, name)


@live_app.command(hidden=True)
def canary_guard(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The canary's service.")],
) -> None:
    """Take a canary down when standard input ends, should its step have been killed."""
    from openautoglm.config.project import find_project
    from openautoglm.deploy.local.folder import ServiceFolder
    from openautoglm.rollout.canary.service import guard

    guard(ServiceFolder(find_project(context.obj), name))


@live_app.command()
def predict(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; or one of the options.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="A replica, or the gateway before several.")
    ] = "http://127.0.0.1:8080",
    file: Annotated[
        Path | None, typer.Option(help="A file of one text a line; - is standard input.")
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(metavar="N,N,...", help="One row of a numeric model; may be given again."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds for each request of at most 256 rows.", min=0.001)
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")] = False,
) -> None:
    """Ask a replica for label and scores of texts, or of rows of features."""
    from openautoglm.cli.predict import predict as run

    run(texts or [], url=url, file=file, features=features or [], timeout=timeout, as_json=as_json)
