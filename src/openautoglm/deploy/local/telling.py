"""What a controller has seen, in words: the status that people and waiting commands read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.converge import Goal
from openautoglm.deploy.local.status import ProcessStatus, RoleStatus, State, Status, now
from openautoglm.deploy.local.supervisor import Program
from openautoglm.deploy.local.unit import Unit
from openautoglm.routing.routes import Routes


class Seen(NamedTuple):
    """One look of a controller.

    Attributes:
        desired: How to serve.
        record: The decision in force.
        records: Of the ledger, as many as were read.
        replicas: Replicas of the champion that are wanted.
        goal: What all of that comes to.
        routes: In force.
        units: All processes but the controller.
        programs: What the supervisor knows of them, by unit.
        ready: Units that are ready.
        cpu: Of replicas, by unit: share of their threads in use.
        done: Nothing was left to do.
    """

    desired: Desired
    record: Record
    records: int
    replicas: int
    goal: Goal
    routes: Routes
    units: Sequence[Unit]
    programs: Mapping[str, Program]
    ready: Collection[str]
    cpu: Mapping[str, float | None]
    done: bool


def tell(seen: Seen, problems: Sequence[str] = ()) -> Status:
    """The status of one look.

    Args:
        seen: What was seen.
        problems: What went wrong on the way.
    """
    processes = tuple(_process(seen, unit) for unit in seen.units)
    failing = [process for process in processes if process.state == "failing"]
    told = [
        *problems,
        *(f"{p.unit} ends again and again: openautoglm logs {seen.desired.name}" for p in failing),
    ]
    gateway = seen.desired.service.gateway
    healthy = seen.done and not told
    return Status(
        time=now(),
        generation=seen.desired.generation,
        records=seen.records,
        healthy=healthy,
        doing="" if healthy else _doing(seen, processes),
        problems=tuple(told),
        url=f"http://{_address(gateway.host)}:{gateway.port}",
        replicas=seen.replicas,
        roles={role: _role(seen, role) for role in seen.record.releases},
        processes=processes,
    )


def _process(seen: Seen, unit: Unit) -> ProcessStatus:
    program = seen.programs.get(unit.name)
    return ProcessStatus(
        unit=unit.name,
        kind=unit.kind,
        pid=program.pid if program else None,
        state=_state(unit, program, seen.ready),
        release=unit.release,
        port=unit.port,
        cpu=seen.cpu.get(unit.name),
    )


def _state(unit: Unit, program: Program | None, ready: Collection[str]) -> State:
    if program is None:
        return "starting"
    if program.state in ("STOPPING", "STOPPED"):
        return "stopping"
    if program.state in ("BACKOFF", "FATAL"):
        return "failing"
    if unit.name in ready:
        return "ready"
    return "starting"


def _role(seen: Seen, role: str) -> RoleStatus:
    release = seen.record.releases[role]  # type: ignore[index]
    shadow = seen.routes.shadow
    return RoleStatus(
        release=release,
        weight=seen.routes.weights.get(release.key, 0),
        shadow=shadow.percent if shadow and shadow.variant == release.key else 0,
        wanted=seen.goal.replicas.get(release.key, 0),
        ready=len(seen.routes.variants.get(release.key, ())),
    )


def _doing(seen: Seen, processes: Sequence[ProcessStatus]) -> str:
    """One line for whoever waits."""
    parts = []
    for kind in ("gateway", "replica"):
        starting = sum(p.kind == kind and p.state in ("starting", "failing") for p in processes)
        if starting:
            parts.append(f"starting {starting} {kind}{'s' * (starting > 1)}")
    stopping = sum(p.state == "stopping" for p in processes)
    if stopping:
        parts.append(f"stopping {stopping}")
    weights = {key: weight for key, weight in seen.goal.weights.items() if weight}
    if not parts and seen.routes.weights != weights:
        parts.append("changing weights")
    return ", ".join(parts) or "settling"


def _address(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  (what clients on this machine type)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
