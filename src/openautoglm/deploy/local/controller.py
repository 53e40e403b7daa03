"""The controller of one service: looks, decides, acts, tells; again and again.

It holds nothing that it could not read again: whenever it is killed, the next one goes on from
`service.json`, the ledger, the supervisor's units and the routes in force.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Protocol

from openautoglm.deploy.desired import Desired, read_desired
from openautoglm.deploy.ledger import Record, read
from openautoglm.deploy.local.converge import Replica, step
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.gateways import Gateways
from openautoglm.deploy.local.health import Health
from openautoglm.deploy.local.load import Load
from openautoglm.deploy.local.logs import trim
from openautoglm.deploy.local.replicas import replica_unit, settings_digest
from openautoglm.deploy.local.revive import Revival
from openautoglm.deploy.local.scale import Scale
from openautoglm.deploy.local.supervisor import Program, Supervisor
from openautoglm.deploy.local.telling import Seen, Teller, tell
from openautoglm.deploy.local.unit import Unit
from openautoglm.deploy.local.wanted import Reading, goal
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import DeployError, OpenAutoGLMError
from openautoglm.observability.machine import machine
from openautoglm.routing.envoy.router import EnvoyRouter
from openautoglm.routing.routes import Routes

_log = logging.getLogger("openautoglm.controller")
_LOAD_SECONDS = 1.0
_SURGE = 1
_LOG_BYTES = 50 << 20


class Decider(Protocol):
    """Whoever decides on the traffic while it owns it: a rollout, one room above."""

    def in_force(self, records: Sequence[Record]) -> Record:
        """The decision to act on: the ledger's last one, or one that it could not take yet."""

    def look(
        self,
        records: Sequence[Record],
        desired: Desired,
        seen: Seen | None,
        gateways: Sequence[Path],
        problem: str,
    ) -> None:
        """See what is in force now, and decide what comes next.

        Args:
            records: The ledger.
            desired: How to serve.
            seen: What the controller saw; None when this step failed.
            gateways: Admin sockets of the gateways that serve.
            problem: Why it failed; "" when it did not.
        """


class Controller:
    """One service's.

    Args:
        folder: The service's.
        decider: Decides on weights; the ledger's records are all there is without one.
    """

    def __init__(self, folder: ServiceFolder, decider: Decider) -> None:
        self._folder = folder
        self._decider = decider
        self._desired = Reading(folder.desired, read_desired)
        self._ledger = Reading(folder.ledger, read)
        self._read: tuple[Desired | None, int] = None, 0
        self._supervisor = Supervisor(folder)
        self._models = ModelStore(folder.project)
        self._gateways = Gateways(folder, self._supervisor)
        self._health = Health()
        self._revival = Revival(self._supervisor)
        self._load = Load()
        self._scale = Scale(folder)
        self._teller = Teller(folder)
        self._at_once = max(1, int(machine().cores))
        self._cpu: Mapping[str, float | None] = {}
        self._looked_at = 0.0
        self._applied: object = None
        self._whole = False
        self._watched: Sequence[Path] | None = None

    def tick(self) -> bool:
        """Look, and do what is next; whether there was nothing to do."""
        desired, records = self._desired.get(), self._ledger.get()
        if desired is None or not records or records[-1].kind == "delete":
            return True
        self._read = desired, len(records)
        trim(self._folder, _LOG_BYTES)
        seen, problem = None, ""
        try:
            seen = self._converge(desired, self._decider.in_force(records), len(records))
            self._teller.tell(tell(seen))
        except (OpenAutoGLMError, OSError) as error:
            problem = str(error)
            raise
        finally:
            # Who owns the traffic must know of a step that failed, too: it has deadlines.
            if self._watched is not None:
                self._decider.look(records, desired, seen, self._watched, problem)
        return seen.done

    def failed(self, error: Exception) -> None:
        """Tell whoever waits what went wrong."""
        self._teller.failed(error, *self._read)

    def _converge(self, desired: Desired, record: Record, records: int) -> Seen:
        service, programs = desired.service, self._programs()
        units = self._settled(programs)
        replicas = [unit for unit in units if unit.kind == "replica"]
        gateways = [unit for unit in units if unit.kind == "gateway"]
        ready = self._look(replicas, gateways, programs, record)
        failing = self._revival.failing(programs)
        cpu = self._busy(replicas, programs, service.serving.threads)
        count = self._scale.count(service, replicas, ready, cpu)
        wanted = goal(record, count, settings_digest(self._folder, desired))
        router = self._router(desired, gateways)
        if not self._whole:
            router.prepare()
        # All there should be, silent ones too: what cannot be asked must be known to be missing.
        self._watched = [Path(unit.admin) for unit in gateways]
        passing = self._gateways.step(service.gateway, gateways, programs)
        found = step(
            wanted,
            [self._replica(unit, ready, failing) for unit in replicas],
            router.current() or Routes(),
            surge=_SURGE,
            at_once=self._at_once,
        )
        self._start(found.start, desired, record)
        self._apply(router, found.routes, desired, passing)
        for name in found.stop:
            _log.info("stopping", extra={"unit": name})
            self._stop(name, programs[name])
        there = [unit for unit in self._supervisor.units() if unit.kind != "controller"]
        self._whole = len(passing) == service.gateway.processes and all(passing.values())
        return Seen(
            desired=desired,
            record=record,
            records=records,
            replicas=count,
            goal=wanted,
            routes=found.routes,
            units=there,
            programs=programs,
            ready=ready,
            started={unit.name for unit in units if self._started(unit.name)},
            failing=failing,
            cpu=cpu,
            done=found.done and self._whole and len(there) == len(replicas) + len(gateways),
        )

    def _programs(self) -> Mapping[str, Program]:
        """What the supervisor knows; one that is gone is started again."""
        try:
            return self._supervisor.states()
        except DeployError:
            if self._supervisor.alive():
                raise
        _log.warning("the supervisor is gone: starting it again")
        self._supervisor.ensure()
        return self._supervisor.states()

    def _settled(self, programs: Mapping[str, Program]) -> list[Unit]:
        """The units that are not being stopped for good; those that have stopped are forgotten."""
        found = []
        for unit in self._supervisor.units():
            program = programs.get(unit.name)
            if program is None:
                continue
            if program.state not in ("STOPPING", "STOPPED") or self._revival.paused(unit.name):
                found.append(unit)
            elif program.state == "STOPPED":
                self._supervisor.forget(unit.name)
        return found

    def _look(
        self,
        replicas: Sequence[Unit],
        gateways: Sequence[Unit],
        programs: Mapping[str, Program],
        record: Record,
    ) -> set[str]:
        """Names of the units that are ready; those that need it are revived."""
        digests = {release.key: release.digest for release in record.releases.values()}
        ready = self._health.look(replicas, programs, digests)
        ready |= self._gateways.look(gateways, programs)
        hung = self._health.hung() | self._gateways.hung()
        self._revival.step([*replicas, *gateways], programs, ready=ready, hung=hung)
        return ready

    def _started(self, unit: str) -> bool:
        return self._health.started(unit) or self._gateways.started(unit)

    def _busy(
        self, replicas: Sequence[Unit], programs: Mapping[str, Program], threads: int
    ) -> Mapping[str, float | None]:
        """CPU use by replica, over a second or more: the kernel counts in hundredths."""
        now = monotonic()
        if now - self._looked_at >= _LOAD_SECONDS:
            pids = {unit.name: programs[unit.name].pid for unit in replicas}
            self._cpu, self._looked_at = self._load.look(pids, threads=threads), now
        return self._cpu

    def _replica(self, unit: Unit, ready: set[str], failing: set[str]) -> Replica:
        return Replica(
            unit=unit.name,
            release=unit.release,
            settings=unit.settings,
            endpoint=unit.endpoint,
            ready=unit.name in ready,
            # One that only fails must not keep others from starting.
            started=self._health.started(unit.name) or unit.name in failing,
        )

    def _router(self, desired: Desired, gateways: Sequence[Unit]) -> EnvoyRouter:
        service = desired.service
        return EnvoyRouter(
            self._folder.envoy,
            service.gateway,
            replica_idle_seconds=service.serving.limits.idle_seconds,
            admins=lambda: self._gateways.watching(gateways),
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
        if program.ended:  # nothing is left to stop
            self._supervisor.forget(name)
        else:
            self._supervisor.stop(name)

    def _start(self, counts: Mapping[str, int], desired: Desired, record: Record) -> None:
        releases = {release.key: release for release in record.releases.values()}
        # Those that are being stopped have their ports still.
        units = self._supervisor.units()
        taken = {port for unit in units for port in (unit.port, unit.grpc_port) if port}
        for key, count in counts.items():
            release = releases[key]
            model = self._models.folder(release.digest)
            for _ in range(count):
                unit = replica_unit(self._folder, release, model, desired, taken)
                taken |= {unit.port, unit.grpc_port}
                _log.info("starting", extra={"unit": unit.name})
                self._supervisor.add(unit)
