"""The gateway's processes: rolled one generation after the other, drained before they end."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic

from openautoglm.artifacts.folder import write_text
from openautoglm.config.gateway import Gateway
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.supervisor import Program, Supervisor
from openautoglm.deploy.local.unit import Unit
from openautoglm.errors import RouterError
from openautoglm.routing.envoy import admin, bootstrap
from openautoglm.routing.envoy.admin import GoneError

_log = logging.getLogger("openautoglm.controller")
_MOST_THREADS = 64
_HUNG_SECONDS = 10.0
_DRAIN_SECONDS = 30.0
_LISTENER_DRAIN_SECONDS = 60
_STOP_SECONDS = 5.0


def gateway_units(folder: ServiceFolder, gateway: Gateway) -> list[Unit]:
    """The processes that are wanted; their bootstrap files are written.

    A process is named by its bootstrap and command: one with others is another process.
    Everything else about the gateway reaches running processes through watched files.
    """
    # A listener that is changed lets its old connections end what they are doing.
    drain = max(_LISTENER_DRAIN_SECONDS, math.ceil(gateway.timeout_ms / 1000))
    command = bootstrap.command(folder.envoy, drain_seconds=drain)
    told = (bootstrap.render(folder.envoy, admin=folder.sockets), command)
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:8]
    found = []
    for number in range(gateway.processes):
        name = f"gateway-{digest}-{number}"
        socket, file = folder.sockets / f"{name}.sock", folder.envoy / f"{name}.json"
        text = json.dumps(bootstrap.render(folder.envoy, admin=socket), indent=2) + "\n"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            write_text(file, text)
        found.append(
            Unit(
                name=name,
                kind="gateway",
                command=bootstrap.command(file, drain_seconds=drain),
                start_seconds=1,
                stop_seconds=_STOP_SECONDS,
                host=gateway.host,
                port=gateway.port,
                admin=str(socket),
            )
        )
    return found


class Gateways:
    """Brings the gateway's processes to what is wanted.

    Args:
        folder: The service's.
        supervisor: Keeps them alive.
    """

    def __init__(self, folder: ServiceFolder, supervisor: Supervisor) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="gateways")
        self._moods: Mapping[str, admin.Mood] = {}
        self._unready: dict[str, tuple[int | None, float]] = {}
        self._draining: dict[str, float] = {}

    def look(self, units: Sequence[Unit], programs: Mapping[str, Program]) -> set[str]:
        """Ask all at once; names of those that take requests.

        Args:
            units: Gateways that are not being stopped.
            programs: What the supervisor knows of them.
        """
        moods = self._pool.map(lambda unit: admin.look(Path(unit.admin)), units)
        self._moods = {unit.name: mood for unit, mood in zip(units, moods, strict=True)}
        known, self._unready = self._unready, {}
        for name, mood in self._moods.items():
            pid = programs[name].pid
            if mood not in ("ready", "draining"):
                same = name in known and known[name][0] == pid
                self._unready[name] = known[name] if same else (pid, monotonic())
        self._draining = {name: at for name, at in self._draining.items() if name in self._moods}
        return {name for name, mood in self._moods.items() if mood == "ready"}

    def started(self, unit: str) -> bool:
        """Whether a gateway took requests once, as far as it can be told."""
        return self._moods.get(unit) in ("ready", "draining", "silent")

    def hung(self) -> set[str]:
        """Gateways that live and for ten seconds have not answered, or had no port."""
        until = monotonic() - _HUNG_SECONDS
        return {name for name, (pid, since) in self._unready.items() if pid and since < until}

    def watching(self, units: Sequence[Unit]) -> list[Path]:
        """Admin sockets of those that take new routes.

        One that is silent must not keep them from the others: when it is killed, its successor
        reads them. One from before the project was moved watches files that are no more.
        """
        sockets = [Path(unit.admin) for unit in units if self._moods.get(unit.name) != "silent"]
        return [socket for socket in sockets if socket.parent == self._folder.sockets]

    def step(
        self, gateway: Gateway, running: Sequence[Unit], programs: Mapping[str, Program]
    ) -> Mapping[str, bool]:
        """Start what is missing; once all of that is ready, drain and stop what is left over.

        Args:
            gateway: What is wanted.
            running: Gateways that are not being stopped, looked at before.
            programs: What the supervisor knows of them.

        Returns:
            Whether each is ready, by name; those left over are among them.
        """
        wanted = {unit.name: unit for unit in gateway_units(self._folder, gateway)}
        there = {unit.name: unit for unit in self._supervisor.units()}
        # One of the same name has only moved its port, by its listener's file.
        new = [unit for name, unit in wanted.items() if there.get(name) != unit]
        if new:
            self._supervisor.add(*new)
        names = [*wanted, *(unit.name for unit in running if unit.name not in wanted)]
        ready = {name: self._moods.get(name) == "ready" for name in names}
        whole = all(ready[name] for name in wanted)
        for unit in running:
            if unit.name in wanted:
                self._reopen(unit)
            elif whole:
                self._retire(unit, programs[unit.name])
        return ready

    def _reopen(self, unit: Unit) -> None:
        """Restart one that was closed to new requests and is wanted again."""
        if self._moods.get(unit.name) == "draining" and self._drained(unit):
            _log.info("restarting, as it was drained", extra={"unit": unit.name})
            self._supervisor.restart(unit.name)
            self._draining.pop(unit.name, None)

    def _retire(self, unit: Unit, program: Program) -> None:
        if program.ended:
            self._supervisor.forget(unit.name)
            return
        if self._moods.get(unit.name) in ("ready", "closed"):
            with suppress(RouterError):  # the next look comes back to it
                admin.drain(Path(unit.admin))
        if self._drained(unit):
            self._supervisor.stop(unit.name)

    def _drained(self, unit: Unit) -> bool:
        """Whether a gateway has answered all it was asked, or has had its time."""
        now = monotonic()
        if now - self._draining.setdefault(unit.name, now) > _DRAIN_SECONDS:
            return True
        if self._moods.get(unit.name) == "silent":
            return False
        try:
            return admin.active_requests(Path(unit.admin)) == 0
        except GoneError:
            return True
        except RouterError:
            return False
