"""Logs of a service's processes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.unit import read_units

_TAIL = 1 << 16
_GONE = 20


def last_lines(folder: ServiceFolder, unit: str, count: int) -> list[str]:
    """The end of a unit's log, oldest line first; empty when it has written nothing."""
    try:
        with folder.log_of(unit).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL))
            text = stream.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]


def last_exit(folder: ServiceFolder, unit: str) -> str:
    """How a unit's process ended last, in supervisord's words; empty when it is not told."""
    pattern = re.compile(rf"exited: {re.escape(unit)} \((.*?)(; (not )?expected)?\)$")
    for line in reversed(last_lines(folder, "supervisor", 500)):
        if found := pattern.search(line):
            return found[1]
    return ""


def trim(folder: ServiceFolder, size: int) -> None:
    """Cut logs of more than `size` bytes, keeping what was cut as `NAME.log.1`.

    Processes go on writing to the same file. Of units that are no more, the latest 20 logs stay.

    Raises:
        ArtifactError: `units.json` cannot be read.
    """
    logs = list(folder.logs.glob("*.log"))
    for log in logs:
        if log.stat().st_size > size:
            try:
                shutil.copyfile(log, f"{log}.1")
            except OSError:  # a full disk is not to become fuller
                _older(log).unlink(missing_ok=True)
            os.truncate(log, 0)
    if len(logs) > _GONE:
        kept = {"supervisor", *(unit.name for unit in read_units(folder.units))}
        gone = sorted((log for log in logs if log.stem not in kept), key=_written)
        for log in gone[:-_GONE]:
            log.unlink(missing_ok=True)
            _older(log).unlink(missing_ok=True)


def _older(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def _written(log: Path) -> float:
    return log.stat().st_mtime
