"""The process of supervisord itself: whether it answers, how it is started, when it is replaced."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from openautoglm.deploy.local import keep, rpc
from openautoglm.deploy.local.conf import kept
from openautoglm.deploy.local.folder import ServiceFolder, interpreter, sockets_of
from openautoglm.deploy.local.logs import last_lines
from openautoglm.errors import DeployError

_NAME = "supervisor"
_ANSWERS_IN = 5.0
_STARTS_IN = 10.0
_AGAIN_AFTER = 1.0
_PAUSE = 0.02
# What processes of a service get from the shell of whoever starts its supervisor: how to find
# programs and libraries, language and clock, how many threads, where traces go. Not the rest:
# tokens are nothing to them, and paths of Python or of a virtual environment that somebody's
# shell has would change what runs. `Unit.environment` adds to it.
_KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD"
    r"|(OMP|GOMP|KMP|OPENBLAS|MKL|MALLOC|OTEL|OPENAUTOGLM)_\w+"
)


def call(folder: ServiceFolder, method: str, *arguments: Any, ignore: tuple[int, ...] = ()) -> Any:
    """Ask supervisord; see `rpc.call`."""
    return rpc.call(_socket(folder), method, *arguments, ignore=ignore)


def mood(folder: ServiceFolder) -> str | None:
    """`RUNNING`, or `SHUTDOWN` of one that is about to end; None when none answers."""
    if keep.holder(folder.supervisor_lock) is None:
        return None
    try:
        return str(call(folder, "getState")["statename"])
    except DeployError:
        return None


def ensure(folder: ServiceFolder) -> None:
    """Start it unless it answers; one that hangs is replaced.

    Raises:
        DeployError: It does not start.
    """
    hangs_at = time.monotonic() + _ANSWERS_IN
    while keep.holder(folder.supervisor_lock) is not None:
        if mood(folder):
            return
        if time.monotonic() > hangs_at:
            break
        time.sleep(_PAUSE)
    end(folder.supervisor_lock, seconds=0)
    _start(folder)


def evict(folder: ServiceFolder) -> None:
    """Kill a supervisord that was started before the project was moved to where it is now.

    It is not asked to end: what it started lives on.
    """
    pid = keep.holder(folder.supervisor_lock)
    conf = _conf_of(pid) if pid else None
    if conf and conf != folder.supervisor_conf:
        end(folder.supervisor_lock, seconds=0)
        for name in (f"{_NAME}.sock", f"{_NAME}.pid"):
            remove_socket(sockets_of(conf.parent) / name)


def end_parent(folder: ServiceFolder) -> None:
    """Ask the supervisord that started this process to end all it keeps, and itself."""
    parent = os.getppid()
    if _conf_of(parent) == folder.supervisor_conf:
        os.kill(parent, signal.SIGTERM)


def end(lock: Path, *, seconds: float) -> None:
    """End whoever holds a lock; see `keep.end`.

    Raises:
        DeployError: It does not end even when it is killed.
    """
    try:
        keep.end(lock, seconds=seconds)
    except TimeoutError as error:
        raise DeployError(f"a process cannot be killed: {error}") from error


def remove_socket(path: Path) -> None:
    """Remove a socket at which nobody answers, and the folders that are empty without it."""
    if _answers(path):  # where a project was moved from, there may be another one by now
        return
    path.unlink(missing_ok=True)
    with suppress(OSError):  # others have theirs there
        path.parent.rmdir()
        path.parent.parent.rmdir()


def remove_sockets(folder: ServiceFolder) -> None:
    """Remove all sockets of a service whose processes have ended."""
    shutil.rmtree(folder.sockets, ignore_errors=True)
    with suppress(OSError):  # another service has its own there
        folder.sockets.parent.rmdir()


def _socket(folder: ServiceFolder) -> Path:
    return folder.sockets / f"{_NAME}.sock"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PAUSE)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # it is too busy to answer
            return True
    return True


def _start(folder: ServiceFolder) -> None:
    conf = str(folder.supervisor_conf)
    python = (interpreter(), "-I", "-X", "utf8", "-m", "supervisor.supervisord")
    command = [*kept(folder, _NAME, "--detach"), "--", *python, "-c", conf]
    # Left by one that was killed; supervisord would wait before it takes its place.
    _socket(folder).unlink(missing_ok=True)
    until, again = time.monotonic() + _STARTS_IN, 0.0
    while mood(folder) is None:
        now = time.monotonic()
        if now > until:
            raise DeployError(
                "\n".join(["the supervisor does not start", *last_lines(folder, _NAME, 5)]),
                where=str(folder.log_of(_NAME)),
            )
        # Somebody may have looked at the lock in the moment it was to be taken.
        if now > again and keep.holder(folder.supervisor_lock) is None:
            quiet, shell = subprocess.DEVNULL, os.environ.items()
            subprocess.run(
                command,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                cwd="/",
                env={name: value for name, value in shell if _KEPT.fullmatch(name)},
                check=True,
            )
            again = now + _AGAIN_AFTER
        time.sleep(_PAUSE)


def _conf_of(pid: int) -> Path | None:
    """The configuration that a process was started with."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None
    _, found, rest = words.partition("\0-c\0")
    return Path(rest.partition("\0")[0]) if found else None
