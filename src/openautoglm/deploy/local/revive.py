"""Replicas that hang are restarted; those that only fail are tried again, ever more rarely."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from openautoglm.deploy.local.ports import is_free
from openautoglm.deploy.local.replicas import Health
from openautoglm.deploy.local.supervisor import Program, Supervisor
from openautoglm.deploy.local.unit import Unit

_log = logging.getLogger("openautoglm.controller")
_PAUSES = (5.0, 10.0, 20.0, 40.0, 60.0)


class Revival:
    """What the supervisor does not do by itself.

    Args:
        supervisor: Keeps the processes.
        health: Knows who hangs.
    """

    def __init__(self, supervisor: Supervisor, health: Health) -> None:
        self._supervisor = supervisor
        self._health = health
        self._tries: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def step(
        self,
        replicas: Sequence[Unit],
        programs: Mapping[str, Program],
        ready: Collection[str],
    ) -> None:
        """Look after each replica.

        Args:
            replicas: Those that are not being stopped.
            programs: What the supervisor knows of them.
            ready: Those that take requests.
        """
        for unit in replicas:
            if unit.name in ready:
                self._tries.pop(unit.name, None)
            elif programs[unit.name].state == "FATAL":
                self._try_again(unit)
            elif programs[unit.name].state == "RUNNING" and self._health.hung(unit.name):
                _log.warning("it does not answer: restarting", extra={"unit": unit.name})
                self._health.restarted(unit.name)
                self._supervisor.restart(unit.name)

    def _try_again(self, unit: Unit) -> None:
        now = monotonic()
        since = self._since.setdefault(unit.name, now)
        tries = self._tries.get(unit.name, 0)
        if now - since < _PAUSES[min(tries, len(_PAUSES) - 1)]:
            return
        del self._since[unit.name]
        self._tries[unit.name] = tries + 1
        if is_free(unit.host, unit.port) and is_free(unit.host, unit.grpc_port):
            self._supervisor.start(unit.name)
        else:  # somebody took its ports; the next step starts one on others
            _log.warning("its port is taken: replacing it", extra={"unit": unit.name})
            self._supervisor.forget(unit.name)
