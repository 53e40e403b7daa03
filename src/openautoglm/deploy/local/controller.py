"""The controller of one service: looks, decides, acts, tells; again and again.

It holds nothing that it could not read again: whenever it is killed, the next one goes on from
`service.json`, the ledger, the supervisor's units and the routes in force.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from time import monotonic

from openautoglm.config.project import Project
from openautoglm.deploy.desired import Desired, read_desired
from openautoglm.deploy.ledger import Record, read
from openautoglm.deploy.local.converge import Replica, step
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.gateways import Gateways
from openautoglm.deploy.local.load import Load
from openautoglm.deploy.local.logs import trim
from openautoglm.deploy.local.replicas import Health, replica_unit, settings_digest
from openautoglm.deploy.local.revive import Revival
from openautoglm.deploy.local.scale import Scale
from openautoglm.deploy.local.status import Status, write_status
from openautoglm.deploy.local.supervisor import Program, Supervisor
from openautoglm.deploy.local.telling import Seen, tell
from openautoglm.deploy.local.unit import Unit
from openautoglm.deploy.local.wanted import goal
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import OpenAutoGLMError
from openautoglm.observability.machine import machine
from openautoglm.routing.envoy.router import EnvoyRouter
from openautoglm.routing.routes import Routes
from openautoglm.serving.observe import logs

_log = logging.getLogger("openautoglm.controller")
_BUSY_SECONDS, _IDLE_SECONDS = 0.1, 0.5
_TELL_SECONDS = 1.0
_LOAD_SECONDS = 1.0
_SURGE = 1
_LOG_BYTES = 50 << 20


class Controller:
    """One service's.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._supervisor = Supervisor(folder)
        self._models = ModelStore(folder.project)
        self._gateways = Gateways(folder, self._supervisor)
        self._health = Health()
        self._revival = Revival(self._supervisor, self._health)
        self._load = Load()
        self._scale = Scale(folder)
        self._at_once = max(1, int(machine().cores))
        self._cpu: Mapping[str, float | None] = {}
        self._looked_at = 0.0
        self._applied: object = None
        self._told: Status | None = None
        self._told_at = 0.0

    def tick(self) -> bool:
        """Look, and do what is next; whether there was nothing to do."""
        desired, records = read_desired(self._folder.desired), read(self._folder.ledger)
        if desired is None or not records or records[-1].kind == "delete":
            return True
        if not self._supervisor.alive():
            _log.warning("the supervisor is gone: starting it again")
            self._supervisor.ensure()
        trim(self._folder, _LOG_BYTES)
        seen = self._converge(desired, records[-1], len(records))
        self._tell(tell(seen))
        return seen.done

    def _converge(self, desired: Desired, record: Record, records: int) -> Seen:
        service, programs = desired.service, self._supervisor.states()
        units = self._settled(programs)
        replicas = [unit for unit in units if unit.kind == "replica"]
        gateways = [unit for unit in units if unit.kind == "gateway"]
        releases = {release.key: release for release in record.releases.values()}
        ready = self._health.look(replicas, {key: r.digest for key, r in releases.items()})
        self._revival.step(replicas, programs, ready)
        cpu = self._busy(replicas, programs, service.serving.threads)
        count = self._scale.count(service, replicas, ready, cpu)
        wanted = goal(record, count, settings_digest(self._folder, service.serving))
        router = self._router(desired, gateways)
        router.prepare()
        passing = self._gateways.step(service.gateway, gateways)
        now = router.current() or Routes()
        found = step(
            wanted,
            [self._replica(unit, programs[unit.name], ready) for unit in replicas],
            now,
            surge=_SURGE,
            at_once=self._at_once,
        )
        self._start(found.start, desired, record, units)
        self._apply(router, found.routes, desired, passing)
        for name in found.stop:
            _log.info("stopping", extra={"unit": name})
            self._stop(name, programs[name])
        fine = len(passing) == service.gateway.processes and all(passing.values())
        return Seen(
            desired=desired,
            record=record,
            records=records,
            replicas=count,
            goal=wanted,
            routes=found.routes,
            units=[unit for unit in self._supervisor.units() if unit.kind != "controller"],
            programs=programs,
            ready={*ready, *(name for name, is_ready in passing.items() if is_ready)},
            cpu=cpu,
            done=found.done and fine and len(units) == len(self._supervisor.units()),
        )

    def _settled(self, programs: Mapping[str, Program]) -> list[Unit]:
        """The units that are not being stopped; those that have stopped are forgotten."""
        found = []
        for unit in self._supervisor.units():
            program = programs.get(unit.name)
            if program is None:
                continue
            if program.state == "STOPPED":
                self._supervisor.forget(unit.name)
            elif program.state != "STOPPING":
                found.append(unit)
        self._health.forget(unit.name for unit in found)
        return found

    def _busy(
        self, replicas: Sequence[Unit], programs: Mapping[str, Program], threads: int
    ) -> Mapping[str, float | None]:
        """CPU use by replica, over a second or more: the kernel counts in hundredths."""
        now = monotonic()
        if now - self._looked_at >= _LOAD_SECONDS:
            pids = {unit.name: programs[unit.name].pid for unit in replicas}
            self._cpu, self._looked_at = self._load.look(pids, threads=threads), now
        return self._cpu

    def _replica(self, unit: Unit, program: Program, ready: set[str]) -> Replica:
        return Replica(
            unit=unit.name,
            release=unit.release,
            settings=unit.settings,
            endpoint=unit.endpoint,
            ready=unit.name in ready,
            # One that only fails must not keep others from starting.
            started=self._health.started(unit.name) or program.state in ("BACKOFF", "FATAL"),
        )

    def _router(self, desired: Desired, gateways: Sequence[Unit]) -> EnvoyRouter:
        service = desired.service
        # Gateways from before the project was moved watch files that are no more.
        watching = [
            Path(unit.admin) for unit in gateways if Path(unit.admin).parent == self._folder.sockets
        ]
        return EnvoyRouter(
            self._folder.envoy,
            service.gateway,
            replica_idle_seconds=service.serving.limits.idle_seconds,
            admins=lambda: watching,
        )

    def _apply(
        self, router: EnvoyRouter, routes: Routes, desired: Desired, gateways: Mapping[str, bool]
    ) -> None:
        """Put routes and settings into force, unless they are."""
        wanted = (routes, desired.service, dict(gateways))
        if wanted != self._applied:
            self._applied = None
            router.apply(routes)
            self._applied = wanted

    def _stop(self, name: str, program: Program) -> None:
        if program.state == "FATAL":  # nothing is left to stop
            self._supervisor.forget(name)
        else:
            self._supervisor.stop(name)

    def _start(
        self, counts: Mapping[str, int], desired: Desired, record: Record, units: Sequence[Unit]
    ) -> None:
        releases = {release.key: release for release in record.releases.values()}
        taken = {port for unit in units for port in (unit.port, unit.grpc_port) if port}
        for key, count in counts.items():
            release = releases[key]
            model = self._models.folder(release.digest)
            for _ in range(count):
                unit = replica_unit(self._folder, release, model, desired.service.serving, taken)
                taken |= {unit.port, unit.grpc_port}
                _log.info("starting", extra={"unit": unit.name})
                self._supervisor.add(unit)

    def failed(self, error: Exception) -> None:
        """Tell whoever waits what went wrong."""
        if self._told:
            problems = (str(error),)
            self._tell(self._told.model_copy(update={"healthy": False, "problems": problems}))

    def _tell(self, status: Status) -> None:
        """Write the status when it changed; and every second."""
        now = monotonic()
        fresh = self._told is not None and now - self._told_at < _TELL_SECONDS
        if fresh and self._told and _without_figures(status) == _without_figures(self._told):
            return
        write_status(self._folder.status, status)
        self._told, self._told_at = status, now


def _without_figures(status: Status) -> Status:
    processes = tuple(one.model_copy(update={"cpu": None}) for one in status.processes)
    return status.model_copy(update={"time": "", "processes": processes})


def run(folder: ServiceFolder) -> None:
    """Tick until SIGTERM or SIGINT; what goes wrong is logged, told, and tried again."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logs.configure()
    controller = Controller(folder)
    while not stop.is_set():
        try:
            idle = controller.tick()
        except (OpenAutoGLMError, OSError) as error:
            _log.error("this step failed and is tried again", extra={"why": str(error)})
            with suppress(OSError):  # a full disk may be what went wrong
                controller.failed(error)
            idle = True
        stop.wait(_IDLE_SECONDS if idle else _BUSY_SECONDS)


if __name__ == "__main__":
    run(ServiceFolder(Project(Path(sys.argv[1])), sys.argv[2]))
