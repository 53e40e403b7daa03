"""`openautoglm pipeline submit` and `schedule`: what is said and shown around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from openautoglm.artifacts.lock import exclusive
from openautoglm.config.params import Params
from openautoglm.config.project import Project
from openautoglm.config.schedules import Schedules, load_schedules
from openautoglm.config.yaml import load
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.arguments import check_arguments, inputs_of, read_arguments
from openautoglm.kubeflow.client import Server
from openautoglm.kubeflow.compiling import Compiled, compiled, settings_of
from openautoglm.kubeflow.connection import Connection
from openautoglm.kubeflow.converging import Change, settled
from openautoglm.kubeflow.crons import next_times
from openautoglm.kubeflow.declared import Declared, declared
from openautoglm.kubeflow.following import follow
from openautoglm.kubeflow.scheduling import Seen, apply, delete, look, plan
from openautoglm.kubeflow.submitting import Order
from openautoglm.kubeflow.submitting import submit as begin
from openautoglm.observability.progress import say, working_on

_DONE = {
    "create": "created",
    "update": "updated",
    "enable": "enabled",
    "disable": "disabled",
    "delete": "deleted",
}


def submit(
    project: Project,
    name: str,
    *,
    connection: Connection,
    sets: Sequence[str] = (),
    arguments: Sequence[str] = (),
    image: str | None = None,
    experiment: str | None = None,
    wait: bool = False,
) -> None:
    """Begin a run of a pipeline.

    Args:
        project: Whose pipeline.
        name: Of the pipeline.
        connection: To the server; a namespace of None takes that of the settings.
        sets: `key.path=value` over `params.yaml`.
        arguments: `name=value`, of the pipeline itself.
        image: Instead of the settings' one.
        experiment: Instead of the settings' one.
        wait: Follow the run to its end.

    Raises:
        InputError: Something does not fit, or the server does not do it; no run was begun.
        RunFailedError: The run was waited for and did not succeed.
    """
    working_on("submit")
    settings = settings_of(project, image=image)
    text = compiled(project, name, image=image, sets=sets)
    inputs = inputs_of(text)
    given = read_arguments(arguments, inputs)
    check_arguments(name, inputs, given, "--argument {}".format)
    order = Order(
        text,
        _owner(project),
        given,
        experiment or settings.experiment,
        settings.service_account,
        settings.pipeline_root,
    )
    with _server(connection, settings.namespace) as server:
        begun = begin(server, order)
        how = "uploaded" if begun.stored.version.new else "there already"
        print(f"version {order.version} of {order.pipeline}: {how}")
        print(f"run {begun.run}: {begun.name}")
        print(begun.url, flush=True)
        if wait:
            try:
                follow(server, begun, say)
            except KeyboardInterrupt:
                say(f"the run goes on: {begun.url}")
                raise
            print("the run succeeded")
        else:
            say("it goes on by itself; --wait follows it to its end")


def schedule(
    project: Project, *, connection: Connection, image: str | None = None, plan_only: bool = False
) -> None:
    """Make the server have what `pipelines/schedules.yaml` declares, and no more of ours.

    Args:
        project: Whose schedules.
        connection: To the server.
        image: Instead of the settings' one.
        plan_only: Only show what would be done.

    Raises:
        InputError: Something declared does not fit, or the server does not let us in; nothing
            was changed.
    """
    working_on("schedule")
    settings = settings_of(project, image=image)
    file = _file(project)
    schedules = load_schedules(file)

    def compile_(name: str, sets: list[str]) -> Compiled:
        return compiled(project, name, image=image, sets=sets)

    owner = _owner(project)
    wanted = declared(file, schedules, settings, owner, compile_)
    with _server(connection, settings.namespace) as server:
        if plan_only:
            seen = look(server, owner)
            _show(plan(server, wanted, seen), wanted, schedules, seen)
            return
        with exclusive(project.state / "schedules.lock"):
            changed = apply(server, owner, wanted, _tell)
        if not changed:
            print(f"nothing to change: {len(wanted)} schedule{'s' if len(wanted) != 1 else ''}")
        for name, one in wanted.items():
            if not one.schedule.enabled:
                say(f"{name} does not fire: `enabled: false`")


def delete_schedule(project: Project, name: str, *, connection: Connection) -> None:
    """Delete a schedule of this project from the server, declared or not.

    Raises:
        ConfigError: The server has none of this name that is ours.
    """
    working_on("schedule")
    with _server(connection, settings_of(project).namespace) as server:
        with exclusive(project.state / "schedules.lock"):
            seen = look(server, _owner(project))
            mine = [one for one in seen.ours if one.name == name]
            if not mine:
                raise ConfigError(
                    f"the server has no schedule `{name}` of this project",
                    where=connection.host,
                    allowed=", ".join(sorted({one.name for one in seen.ours})) or "it has none",
                )
            delete(server, mine, _tell)
        if name in load_schedules(_file(project)).schedules:
            say(f"{name} is still declared in {_file(project)}: the next `schedule` makes it again")


def list_schedules(project: Project, *, connection: Connection) -> None:
    """Show the recurring runs of the server, ours first."""
    working_on("schedule")
    with _server(connection, settings_of(project).namespace) as server:
        seen = look(server, _owner(project))
        for one in sorted(seen.ours, key=lambda one: (one.name, one.created)):
            print(f"{'enabled' if one.enabled else 'disabled':9} {one.name:24} {one.id}")
        _show_foreign(seen)


@contextmanager
def _server(connection: Connection, namespace: str | None) -> Iterator[Server]:
    asked = replace(connection, namespace=connection.namespace or namespace)
    server = Server(asked)
    if asked.namespace and not server.health.multi_user:
        say(f"this server has one user: the namespace {asked.namespace} is not used")
    try:
        yield server
    finally:
        server.close()


def _owner(project: Project) -> str:
    return load(project.params_file, Params).model.name


def _file(project: Project) -> Path:
    return project.root / "pipelines" / "schedules.yaml"


def _tell(change: Change) -> None:
    why = f" ({change.why})" if change.why else ""
    print(f"{_DONE[change.kind]:8} {change.name}{why}", flush=True)


def _show(
    todo: Sequence[Change], wanted: dict[str, Declared], schedules: Schedules, seen: Seen
) -> None:
    if settled(todo):
        print("nothing to change")
    width = max((len(change.name) for change in todo), default=0)
    for change in todo:
        told = change.why
        if change.kind != "delete":
            told = _when(wanted[change.name], schedules)
        print(f"{change.kind:8} {change.name:{width}}  {told}")
    _show_foreign(seen)


def _when(one: Declared, schedules: Schedules) -> str:
    """What runs, and when it fires next."""
    mine, zone = one.schedule, ZoneInfo(schedules.timezone)
    told = f"{mine.pipeline} at {mine.cron!r}"
    if not mine.enabled:
        return f"{told}, does not fire: enabled: false"
    times = next_times(mine.times, datetime.now(UTC), zone, start=mine.start, end=mine.end)
    if not times:
        return f"{told}, does not fire any more: it ended {mine.end}"
    return f"{told}, next {', '.join(f'{time:%Y-%m-%d %H:%M}' for time in times)} {zone.key}"


def _show_foreign(seen: Seen) -> None:
    for one in seen.foreign:
        print(f"{'foreign':8} {one.display_name}  not of this project; never touched")
