"""The gateway's processes: rolled one generation after the other, drained before they end."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from openautoglm.artifacts.folder import write_text
from openautoglm.config.service import Gateway
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.unit import Unit
from openautoglm.errors import RouterError
from openautoglm.routing.envoy import admin, bootstrap

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
    told = (bootstrap.render(folder.envoy, admin=folder.sockets), drain)
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
        self._draining: dict[str, float] = {}

    def step(self, gateway: Gateway, running: Sequence[Unit]) -> Mapping[str, bool]:
        """Start what is missing; once all of that is ready, drain and stop what is left over.

        Args:
            gateway: What is wanted.
            running: Gateways that are not being stopped.

        Returns:
            Whether each is ready, by name; those left over are among them.
        """
        wanted = gateway_units(self._folder, gateway)
        there = {unit.name for unit in running}
        for unit in wanted:
            if unit.name not in there:
                self._supervisor.add(unit)
        ready = {unit.name: admin.ready(Path(unit.admin)) for unit in [*wanted, *running]}
        names = {unit.name for unit in wanted}
        if all(ready[name] for name in names):
            for unit in running:
                if unit.name not in names:
                    self._retire(unit)
        return ready

    def _retire(self, unit: Unit) -> None:
        socket = Path(unit.admin)
        try:
            if unit.name not in self._draining:
                self._draining[unit.name] = monotonic()
                admin.drain(socket)
            over = monotonic() - self._draining[unit.name] > _DRAIN_SECONDS
            if not over and admin.active_requests(socket):
                return
        except RouterError:
            pass  # it is gone already
        self._supervisor.stop(unit.name)
        self._draining.pop(unit.name, None)
