"""A service on this machine whose processes are tiny commands."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from openautoglm.config.project import Project
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.unit import Unit
from tests.support.wait import until

SLEEP = ("/bin/sleep", "infinity")


def unit(name: str, *command: str, kind: str = "replica", **values) -> Unit:
    """A unit that counts as running after a second; without a command it sleeps."""
    return Unit(name=name, kind=kind, command=command or SLEEP, **{"start_seconds": 1, **values})


@contextmanager
def service(root: Path, name: str = "small") -> Iterator[ServiceFolder]:
    """An empty service; at the end, nothing of it runs."""
    folder = ServiceFolder(Project(root), name)
    try:
        yield folder
    finally:
        Supervisor(folder).shutdown()


def pid_of(folder: ServiceFolder, name: str) -> int:
    """The process of a unit, once there is one."""
    return until(lambda: keep.holder(folder.lock_of(name)), what=f"{name} does not run")


def kill(folder: ServiceFolder, name: str) -> int:
    """SIGKILL for a unit or `supervisor`; returns who that was."""
    pid = pid_of(folder, name)
    os.kill(pid, signal.SIGKILL)
    until(lambda: keep.holder(folder.lock_of(name)) != pid)
    return pid


def processes(folder: ServiceFolder) -> list[list[str]]:
    """Command lines of all processes that name a service's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if any(str(folder.root) in word for word in command):
            found.append(command)
    return found
