"""What keeps a service's processes alive: supervisord, and the list of what it is to keep."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from openautoglm.deploy.local import daemon, home, keep, rpc
from openautoglm.deploy.local.conf import write_conf
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.logs import last_exit
from openautoglm.deploy.local.turn import turn
from openautoglm.deploy.local.unit import Unit, read_units, write_units
from openautoglm.errors import DeployError

_PAUSE = 0.02
_LATEST = 5.0
# Less than the 10 s that a controller has to end in while somebody else has the turn.
_TURN_SECONDS = 5.0
# Whoever converges goes first, or it would start again what ends; gateways drain into replicas.
_ORDER = ("controller", "gateway", "replica")


@dataclass(frozen=True)
class Program:
    """What is known of a unit's process.

    Attributes:
        state: BACKOFF waits before the next start, FATAL has given up.
        pid: The process itself; None when there is none.
        error: In BACKOFF and FATAL, how it ended or why it was not started.
    """

    state: Literal["STARTING", "RUNNING", "BACKOFF", "FATAL", "STOPPING", "STOPPED"]
    pid: int | None
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether it stays as it is until somebody starts it."""
        return self.state in ("STOPPED", "FATAL")


class Supervisor:
    """The supervisor of a service; several of these, in several processes, may be in use at once.

    Whatever starts or ends processes waits for its turn, 5 s at most (`BusyError`). In a folder
    whose service was deleted, or that is a copy, it is refused (`DeployError`); but `shutdown`.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._outlives: dict[str, float] = {}

    def alive(self) -> bool:
        """Whether supervisord runs and answers."""
        return daemon.mood(self._folder) is not None

    def ensure(self) -> None:
        """Have supervisord run with the units of `units.json`, adopting those that run already.

        One that hangs, or that was started before the project was moved, is replaced; the
        processes that it started go on.

        Raises:
            DeployError: It does not start, or is about to end.
            ArtifactError: `units.json` cannot be read.
            StoreError: A path cannot be told to supervisord.
        """
        with self._ours():
            write_conf(self._folder, self.units())
            daemon.ensure(self._folder)
            self._reconcile()

    def foreign(self) -> bool:
        """Whether the folder is a copy of another service's, and was not claimed."""
        return home.copied_from(self._folder) is not None

    def claim(self) -> None:
        """Make a copy this folder's own service, which has no processes yet."""
        with self._turn():
            if self.foreign():
                home.clear(self._folder)

    def units(self) -> list[Unit]:
        """The processes that are to be kept alive; of a copy none, they are another service's.

        Raises:
            ArtifactError: `units.json` cannot be read.
        """
        return [] if self.foreign() else read_units(self._folder.units)

    def add(self, *units: Unit) -> None:
        """Keep more units alive. One of the same name gets its new command at its next `start`.

        Raises:
            DeployError: Supervisord is about to end.
            StoreError: A path cannot be told to supervisord; nothing was changed.
        """
        with self._ours():
            names = {unit.name for unit in units}
            self._write([*(unit for unit in self.units() if unit.name not in names), *units])

    def stop(self, name: str) -> None:
        """Ask a unit to end and to stay so; returns at once.

        Raises:
            DeployError: Supervisord does not answer; so for every method that needs it.
        """
        self._call("stopProcess", name, False, ignore=(rpc.BAD_NAME, rpc.NOT_RUNNING))
        if name not in self._not_ended([name]):
            # There may be one whose keep was killed before it could pass the signal on.
            keep.tell(self._folder.lock_of(name), signal.SIGTERM)

    def forget(self, name: str) -> bool:
        """Remove a unit that has ended, with its lock and socket; False while it has not.

        It does not wait: ask again. A process that lives on without a supervisor is asked to end,
        and killed when it has not after its `stop_seconds`.
        """
        with self._ours():
            if self._not_ended([name]) or not self._gone(name):
                return False
            self._remove(name)
        return True

    def drop(self, name: str) -> None:
        """Stop a unit, wait until it has ended, and forget it; also while no supervisor runs."""
        with self._ours():
            if self.alive():
                self._stop_all([unit for unit in self.units() if unit.name == name])
            self._remove(name)

    def start(self, name: str) -> None:
        """Start a unit that is STOPPED or FATAL, with the command that `units.json` has now."""
        with self._ours():
            self._call("reloadConfig")
            self._call("removeProcessGroup", name, ignore=(rpc.BAD_NAME, rpc.STILL_RUNNING))
            self._call("addProcessGroup", name, ignore=(rpc.ALREADY_ADDED,))

    def restart(self, name: str) -> None:
        """Kill a unit that hangs; the supervisor starts it again. Returns at once."""
        keep.tell(self._folder.lock_of(name), signal.SIGKILL)

    def states(self) -> dict[str, Program]:
        """What is known of each unit that supervisord has."""
        return {info["name"]: self._program(info) for info in self._call("getAllProcessInfo")}

    def shutdown(self) -> None:
        """End everything: controller, gateways, replicas, supervisord; their sockets are removed.

        Raises:
            DeployError: A process does not end even when it is killed.
        """
        with self._turn():
            units = sorted(self.units(), key=lambda unit: _ORDER.index(unit.kind))
            if self.alive():
                for kind in _ORDER:
                    self._stop_all([unit for unit in units if unit.kind == kind])
                self._call("shutdown")
            daemon.end(self._folder.supervisor_lock, seconds=_LATEST)
            for unit in units:
                keep.tell(self._folder.lock_of(unit.name), signal.SIGTERM)
            for unit in units:
                daemon.end(self._folder.lock_of(unit.name), seconds=unit.stop_seconds)
            daemon.remove_sockets(self._folder)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One at a time, and no supervisor that knows the service by another path."""
        with turn(self._folder.turn, seconds=_TURN_SECONDS):
            daemon.evict(self._folder)
            yield

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Our turn at a service that may have processes."""
        with self._turn():
            home.enter(self._folder)
            yield

    def _call(self, method: str, *arguments: Any, ignore: tuple[int, ...] = ()) -> Any:
        return daemon.call(self._folder, method, *arguments, ignore=ignore)

    def _write(self, units: Sequence[Unit]) -> None:
        write_conf(self._folder, units)  # first, because it may refuse them
        write_units(self._folder.units, units)
        if self.alive():
            self._reconcile()

    def _reconcile(self) -> None:
        """Add the programs that supervisord lacks, and end those it should not have."""
        if daemon.mood(self._folder) != "RUNNING":
            raise DeployError("the supervisor is about to end", hint="the same again in a moment")
        [[added, _, removed]] = self._call("reloadConfig")
        for name in added:
            self._call("addProcessGroup", name, ignore=(rpc.ALREADY_ADDED,))
        for name in removed:
            self._call("stopProcess", name, False, ignore=(rpc.BAD_NAME, rpc.NOT_RUNNING))
            self._call("removeProcessGroup", name, ignore=(rpc.BAD_NAME, rpc.STILL_RUNNING))

    def _remove(self, name: str) -> None:
        units = {unit.name: unit for unit in self.units()}
        unit = units.pop(name, None)
        self._write(list(units.values()))
        lock = self._folder.lock_of(name)
        daemon.end(lock, seconds=unit.stop_seconds if unit else 0)
        lock.unlink(missing_ok=True)
        if unit and unit.admin:
            daemon.remove_socket(Path(unit.admin))

    def _gone(self, name: str) -> bool:
        lock, now = self._folder.lock_of(name), time.monotonic()
        if keep.free(lock):
            self._outlives.pop(name, None)
            return True
        patience = max((u.stop_seconds for u in self.units() if u.name == name), default=0)
        if name not in self._outlives:
            self._outlives[name] = now
            keep.tell(lock, signal.SIGTERM)
        elif now - self._outlives[name] > patience:
            keep.kill(lock)
        return False

    def _program(self, info: dict[str, Any]) -> Program:
        name, state = info["name"], info["statename"]
        state = {"EXITED": "STARTING", "UNKNOWN": "FATAL"}.get(state, state)
        error = ""
        if state in ("BACKOFF", "FATAL"):
            error = last_exit(self._folder, name) or info["spawnerr"]
        return Program(state, keep.holder(self._folder.lock_of(name)), error)

    def _not_ended(self, names: Collection[str]) -> set[str]:
        return {name for name, one in self.states().items() if name in names and not one.ended}

    def _stop_all(self, units: Sequence[Unit]) -> None:
        """Ask them all to end, and wait for the last one."""
        for unit in units:
            self.stop(unit.name)
        names = {unit.name for unit in units}
        end = time.monotonic() + _LATEST + max((unit.stop_seconds for unit in units), default=0)
        while self._not_ended(names) and time.monotonic() < end:
            time.sleep(_PAUSE)
