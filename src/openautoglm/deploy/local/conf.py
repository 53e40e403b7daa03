"""Units as supervisord reads them."""

from __future__ import annotations

import math
import re
import resource
import shlex
from collections.abc import Iterable

from openautoglm.artifacts.folder import write_text
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder, interpreter
from openautoglm.deploy.local.unit import Unit
from openautoglm.errors import StoreError

# Of two kinds, supervisord ends the one with the higher number first.
_PRIORITY = {"controller": 10, "replica": 20, "gateway": 30}
_RETRIES = 3
# Whom keep waits for, only keep can kill; supervisord must not be first.
_LATER = 1


def render(folder: ServiceFolder, units: Iterable[Unit]) -> str:
    """The file that supervisord is started with.

    Raises:
        StoreError: A path has a line break, which supervisord cannot read.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    head = f"""\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
nocleanup=true
pidfile={folder.sockets}/supervisor.pid
minfds={1024 if files == resource.RLIM_INFINITY else min(files, 1024)}
minprocs=1

[unix_http_server]
file={folder.sockets}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return "\n".join([head, *(_program(folder, unit) for unit in units)])


def write_conf(folder: ServiceFolder, units: Iterable[Unit]) -> None:
    """Write it where supervisord reads it, unless it is there.

    Raises:
        StoreError: A path has a line break, which supervisord cannot read.
    """
    path, text = folder.supervisor_conf, render(folder, units)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def kept(folder: ServiceFolder, name: str, option: str, seconds: float = 0) -> list[str]:
    """The beginning of a command that keep starts; its arguments are told there."""
    files = (str(folder.lock_of(name)), str(folder.log_of(name)))
    return [interpreter(), "-I", "-S", keep.__file__, option, *files, f"{seconds:g}"]


def _program(folder: ServiceFolder, unit: Unit) -> str:
    changes = [f"{name}={value}" for name, value in unit.environment.items()]
    start = kept(folder, unit.name, f"--under={folder.supervisor_lock}", unit.stop_seconds)
    command = [*start, *changes, "--", *unit.command]
    return f"""\
[program:{unit.name}]
command={_quoted(command)}
priority={_PRIORITY[unit.kind]}
autorestart=true
startsecs={unit.start_seconds}
startretries={_RETRIES}
stopsignal=TERM
stopwaitsecs={math.ceil(unit.stop_seconds) + _LATER}
stdout_logfile=NONE
stderr_logfile=NONE
"""


def _quoted(command: list[str]) -> str:
    """A command on one line, so that a shell's rules, `%` and comments leave it as it is."""
    line = shlex.join(command)
    if "\n" in line or "\r" in line:
        raise StoreError(
            "a path or argument of a process has a line break",
            where=repr(next(part for part in command if "\n" in part or "\r" in part)),
            hint="give the project's folder another name",
        )
    # A blank before one of these would begin a comment; between quotes, '' is nothing.
    return re.sub(r"(?<=\s)(?=[;#])", "''", line).replace("%", "%%")
