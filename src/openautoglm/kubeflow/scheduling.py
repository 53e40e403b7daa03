"""A server is made to have what is declared: look, plan, do, look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import kfp_server_api as kfp

from openautoglm.kubeflow.client import Server
from openautoglm.kubeflow.converging import Change, Found, Wanted, changes, settled
from openautoglm.kubeflow.declared import Declared
from openautoglm.kubeflow.errors import OtherServerError, ServerError
from openautoglm.kubeflow.marks import mark_of
from openautoglm.kubeflow.submitting import Order, store

_ROUNDS = 12
"""Each other caller costs two at most: one that sees what it made late, one that sees it go."""


@dataclass(frozen=True)
class Seen:
    """The recurring runs of a server.

    Attributes:
        ours: Those that this project has declared, now or before.
        foreign: All others; nothing is ever done to them.
    """

    ours: tuple[Found, ...]
    foreign: tuple[kfp.V2beta1RecurringRun, ...]


def look(server: Server, owner: str) -> Seen:
    """Tell ours from foreign ones.

    Args:
        server: Where.
        owner: The model's name.
    """
    ours, foreign = [], []
    for one in server.recurring_runs():
        mark = mark_of(one.description)
        if mark is None or mark.owner != owner:
            foreign.append(one)
            continue
        reference = one.pipeline_version_reference
        refers = ((reference and reference.pipeline_version_id) or None, one.experiment_id)
        found = Found(
            id=one.recurring_run_id,
            name=mark.name,
            digest=mark.digest,
            refers=refers,
            enabled=_is_enabled(one),
            created=_instant(one.created_at),
        )
        ours.append(found)
    return Seen(tuple(ours), tuple(foreign))


def plan(server: Server, declared: Mapping[str, Declared], seen: Seen) -> tuple[Change, ...]:
    """What would be done; changes nothing."""
    known: dict[tuple[str, ...], str | None] = {}

    def once(key: tuple[str, ...], find: Callable[[], str | None]) -> str | None:
        if key not in known:
            known[key] = find()
        return known[key]

    def refers(order: Order) -> tuple[str | None, str | None]:
        pipeline = once(("pipeline", order.pipeline), lambda: server.find_pipeline(order.pipeline))
        version = None
        if pipeline:
            key = ("version", pipeline, order.version)
            version = once(key, lambda: server.find_version(pipeline, order.version))
        experiment = order.experiment
        return version, once(("experiment", experiment), lambda: server.find_experiment(experiment))

    wanted = {
        name: Wanted(one.mark.digest, refers(one.order), one.schedule.enabled)
        for name, one in declared.items()
    }
    return changes(wanted, seen.ours)


def apply(
    server: Server,
    owner: str,
    declared: Mapping[str, Declared],
    say: Callable[[Change], None],
) -> bool:
    """Do what a plan says, and look again until there is nothing left to do.

    A second caller, elsewhere, may do the same at the same time. Of two equal recurring runs both
    keep the older one; so one is left when the later of them has looked again.

    Args:
        server: Where.
        owner: The model's name.
        declared: What the server is to have.
        say: Told of each change that was made.

    Returns:
        Whether anything was changed.

    Raises:
        ServerError: A change was refused, or somebody else keeps changing the same schedules.
            What was done until then stays; the next call goes on from there.
    """
    made: set[str] = set()
    changed = False
    for _ in range(_ROUNDS):
        seen = look(server, owner)
        _refuse_changed_marks(server, made, seen)
        todo = plan(server, declared, seen)
        if settled(todo):
            return changed
        for change in todo:
            made |= _do(server, declared, change)
            if change.kind != "keep":
                say(change)
                changed = True
    raise ServerError(
        "somebody else keeps changing the same schedules",
        where=server.connection.host,
        hint="see who schedules this project, then again",
    )


def delete(server: Server, found: Iterable[Found], say: Callable[[Change], None]) -> None:
    """Delete recurring runs of ours."""
    for one in found:
        server.delete(one.id)
        say(Change("delete", one.name, one.id, "as asked"))


def _do(server: Server, declared: Mapping[str, Declared], change: Change) -> set[str]:
    """Do one thing; returns what it has made."""
    if change.kind in ("create", "update"):
        one = declared[change.name]
        experiment = server.experiment(one.order.experiment)
        return {server.recur(one.body(experiment.id, store(server, one.order)))}
    if change.id is not None and change.kind in ("enable", "disable"):
        server.enable(change.id, enabled=change.kind == "enable")
    if change.id is not None and change.kind == "delete":
        server.delete(change.id)
    return set()


def _refuse_changed_marks(server: Server, made: set[str], seen: Seen) -> None:
    """What we have made must be known again as ours, or each call would make another one."""
    strange = made & {one.recurring_run_id for one in seen.foreign}
    if strange:
        raise OtherServerError(
            f"the server changes the descriptions of recurring runs: {', '.join(sorted(strange))}",
            where=server.connection.host,
            hint="delete these there; schedules need a server that keeps descriptions",
        )


def _is_enabled(found: kfp.V2beta1RecurringRun) -> bool:
    """Its mode; its status follows later, and may say something else of a run."""
    if found.mode in ("ENABLE", "DISABLE"):
        return bool(found.mode == "ENABLE")
    return bool(found.status == "ENABLED")


def _instant(found: Any) -> str:
    return found.astimezone(UTC).isoformat(timespec="microseconds") if found else ""
