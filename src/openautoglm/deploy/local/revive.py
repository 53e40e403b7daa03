"""What the supervisor does not do by itself: who hangs is killed, who only ends has to pause."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from openautoglm.deploy.local.ports import is_free
from openautoglm.deploy.local.supervisor import Program, Supervisor
from openautoglm.deploy.local.unit import Unit

_log = logging.getLogger("openautoglm.controller")
_PAUSES = (5.0, 10.0, 20.0, 40.0, 60.0)
_FAILING = 2
"""Processes in a row that ended without having been ready once."""


@dataclass
class _Life:
    """What became of a unit since it was ready.

    Attributes:
        pid: The process seen last.
        lasted: Whether it lived so long that the supervisor starts another one at once.
        deaths: Processes that ended.
        tries: Pauses there were.
        paused: It was stopped, to be started after a pause.
        until: When the pause ends.
    """

    pid: int | None = None
    lasted: bool = False
    deaths: int = 0
    tries: int = 0
    paused: bool = False
    until: float | None = None


class Revival:
    """Restarts units that hang, and those the supervisor gave up, after pauses that grow.

    The supervisor gives up what ends within its first seconds. What lasts longer and is never
    ready, it would start again without end: from the second time on, that is paused here. What
    is counted goes with the controller; the next one begins with the first pause.

    Args:
        supervisor: Keeps the processes.
        clock: Seconds; any zero.
    """

    def __init__(self, supervisor: Supervisor, clock: Callable[[], float] = monotonic) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._lives: dict[str, _Life] = {}

    def step(
        self,
        units: Sequence[Unit],
        programs: Mapping[str, Program],
        *,
        ready: Collection[str],
        hung: Collection[str],
    ) -> None:
        """Look after each unit; what is known of others is forgotten.

        Args:
            units: Those that are not being stopped.
            programs: What the supervisor knows of them.
            ready: Those that take requests.
            hung: Those that have to be killed to do so again.
        """
        self._lives = {unit.name: self._lives.get(unit.name) or _Life() for unit in units}
        for unit in units:
            program, life = programs[unit.name], self._lives[unit.name]
            if unit.name in ready:
                self._lives[unit.name] = _Life()
            elif life.paused or program.state == "FATAL":
                self._try_again(unit, program, life)
            else:
                life.until = None
                if self._ends_again_and_again(program, life):
                    self._pause(unit, life)
                elif unit.name in hung:
                    _log.warning("it does not answer: restarting", extra={"unit": unit.name})
                    self._supervisor.restart(unit.name)

    def paused(self, unit: str) -> bool:
        """Whether a unit is stopped only to be started again."""
        return unit in self._lives and self._lives[unit].paused

    def failing(self, programs: Mapping[str, Program]) -> set[str]:
        """Units that end again and again."""
        return {
            name
            for name, life in self._lives.items()
            if life.deaths >= _FAILING or programs[name].state in ("BACKOFF", "FATAL")
        }

    def _ends_again_and_again(self, program: Program, life: _Life) -> bool:
        """Whether it just did so once more, and is being started without a pause."""
        if program.pid is None or program.pid == life.pid:
            life.lasted |= program.pid is not None and program.state == "RUNNING"
            return False
        lasted, died = life.lasted, life.pid is not None
        life.pid, life.lasted, life.deaths = program.pid, False, life.deaths + died
        return died and lasted and life.deaths >= _FAILING

    def _pause(self, unit: Unit, life: _Life) -> None:
        life.paused, life.until = True, self._clock() + _pause_of(life)
        _log.warning("it ends again and again: pausing", extra={"unit": unit.name})
        self._supervisor.stop(unit.name)

    def _try_again(self, unit: Unit, program: Program, life: _Life) -> None:
        now = self._clock()
        if life.until is None:
            life.until = now + _pause_of(life)
        if now < life.until or not program.ended:
            return
        life.paused, life.until, life.pid, life.tries = False, None, None, life.tries + 1
        # The port of gateways is shared.
        ports = (unit.port, unit.grpc_port) if unit.kind == "replica" else ()
        if all(is_free(unit.host, port) for port in ports):
            self._supervisor.start(unit.name)
        else:  # somebody took its ports; the next step starts one on others
            _log.warning("its port is taken: replacing it", extra={"unit": unit.name})
            self._supervisor.forget(unit.name)


def _pause_of(life: _Life) -> float:
    return _PAUSES[min(life.tries, len(_PAUSES) - 1)]
