"""`openautoglm logs`: what a service's processes wrote, each line with who wrote it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.logs import last_lines
from openautoglm.errors import ConfigError

_LOOK_SECONDS = 0.2


def logs(folder: ServiceFolder, *, unit: str | None, lines: int, follow: bool) -> None:
    """Print the last lines of each log, and with `follow` what is added, until interrupted.

    Args:
        folder: The service's.
        unit: Begin of the names of the processes that are meant; None means all.
        lines: Of each.
        follow: Go on.

    Raises:
        ConfigError: No process is called so.
    """
    read: dict[Path, int] = {}
    for file in _files(folder, unit):
        read[file] = _size(file)
        for line in last_lines(folder, file.stem, lines) if lines else ():
            print(f"{file.stem} | {line}")
    if not read:
        raise ConfigError(
            f"no process has a name that begins with `{unit}`" if unit else "there is no log yet",
            where=str(folder.logs),
            allowed=", ".join(file.stem for file in _files(folder, None)) or None,
        )
    while follow:
        time.sleep(_LOOK_SECONDS)
        for file in _files(folder, unit):
            for line in _added(file, read):
                print(f"{file.stem} | {line}", flush=True)


def _files(folder: ServiceFolder, unit: str | None) -> list[Path]:
    return sorted(file for file in folder.logs.glob("*.log") if file.stem.startswith(unit or ""))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # old logs are removed while they are looked at
        return 0


def _added(file: Path, read: dict[Path, int]) -> Iterator[str]:
    """Whole lines since the last look; from the start again when the log was cut."""
    if _size(file) < read.get(file, 0):
        read[file] = 0
    try:
        with file.open("rb") as stream:
            stream.seek(read.get(file, 0))
            data = stream.read()
    except FileNotFoundError:
        return
    end = data.rfind(b"\n") + 1
    read[file] = read.get(file, 0) + end
    yield from data[:end].decode(errors="replace").splitlines()
