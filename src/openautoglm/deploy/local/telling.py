"""What a controller has seen, in words: the status that people and waiting commands read."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.converge import Goal
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.status import (
    ProcessStatus,
    RoleStatus,
    State,
    Status,
    now,
    read_status,
    write_status,
)
from openautoglm.deploy.local.supervisor import Program
from openautoglm.deploy.local.unit import Unit
from openautoglm.routing.routes import Routes

_AGAIN_SECONDS = 1.0


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
        started: Units whose processes were ready once.
        failing: Units that end again and again.
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
    started: Collection[str]
    failing: Collection[str]
    cpu: Mapping[str, float | None]
    done: bool


def tell(seen: Seen) -> Status:
    """The status of one look."""
    processes = tuple(_process(seen, unit) for unit in seen.units)
    problems = tuple(
        f"{process.unit} ends again and again: openautoglm logs {seen.desired.name}"
        for process in processes
        if process.state == "failing"
    )
    healthy = seen.done and not problems
    return Status(
        time=now(),
        generation=seen.desired.generation,
        records=seen.records,
        healthy=healthy,
        doing="" if healthy else _doing(seen, processes),
        problems=problems,
        url=_url(seen.desired),
        replicas=seen.replicas,
        roles={role: _role(seen, role) for role in seen.record.releases},
        processes=processes,
    )


class Teller:
    """Writes `status.json`.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._path = folder.status
        self._told = read_status(folder.status)
        self._at = -math.inf

    def tell(self, status: Status) -> None:
        """Write a status when it says something new; and every second."""
        at = monotonic()
        if at - self._at < _AGAIN_SECONDS and self._told and _same(status, self._told):
            return
        write_status(self._path, status)
        self._told, self._at = status, at

    def failed(self, error: Exception, desired: Desired | None, records: int) -> None:
        """Tell whoever waits what went wrong; what was seen last stands beside it.

        Args:
            error: What.
            desired: How to serve; None while that cannot be read.
            records: Of the ledger, as many as were read.
        """
        last = self._told
        self.tell(
            Status(
                time=now(),
                generation=desired.generation if desired else last.generation if last else 0,
                records=records or (last.records if last else 0),
                healthy=False,
                doing="",
                problems=(str(error) or repr(error),),
                url=_url(desired) if desired else last.url if last else "",
                replicas=last.replicas if last else 0,
                roles=last.roles if last else {},
                processes=last.processes if last else (),
            )
        )


def _same(one: Status, other: Status) -> bool:
    """Whether they differ in nothing but figures."""
    return _without_figures(one) == _without_figures(other)


def _without_figures(status: Status) -> Status:
    processes = tuple(one.model_copy(update={"cpu": None}) for one in status.processes)
    return status.model_copy(update={"time": "", "processes": processes})


def _process(seen: Seen, unit: Unit) -> ProcessStatus:
    program = seen.programs.get(unit.name)
    return ProcessStatus(
        unit=unit.name,
        kind=unit.kind,
        pid=program.pid if program else None,
        state=_state(seen, unit),
        release=unit.release,
        port=unit.port,
        cpu=seen.cpu.get(unit.name),
    )


def _state(seen: Seen, unit: Unit) -> State:
    program = seen.programs.get(unit.name)
    if unit.name in seen.failing:
        return "failing"  # also while it pauses
    if program and program.state in ("STOPPING", "STOPPED"):
        return "stopping"
    if unit.name in seen.ready:
        return "ready"
    return "not ready" if unit.name in seen.started else "starting"


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
        lost = sum(p.kind == kind and p.state == "not ready" for p in processes)
        if lost:
            parts.append(f"{lost} {kind}{'s' * (lost > 1)} not ready")
    stopping = sum(p.state == "stopping" for p in processes)
    if stopping:
        parts.append(f"stopping {stopping}")
    weights = {key: weight for key, weight in seen.goal.weights.items() if weight}
    if not parts and seen.routes.weights != weights:
        parts.append("changing weights")
    return ", ".join(parts) or "settling"


def _url(desired: Desired) -> str:
    gateway = desired.service.gateway
    return f"http://{_address(gateway.host)}:{gateway.port}"


def _address(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  (what clients on this machine type)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
