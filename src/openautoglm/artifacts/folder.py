"""Publish a folder whole or not at all: write beside, fsync, rename."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PAYLOAD = "payload"
_FORGOTTEN_SECONDS = 86_400


def sync(path: Path) -> None:
    """Flush one file or folder entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder`, and the folder itself."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def remove_stale(out: Path) -> None:
    """Remove what killed processes left beside `out`; what a live one writes is left alone."""
    _remove(out.parent.glob(f".{out.name}.part-*"))


def remove_all_stale(folder: Path) -> None:
    """The same for whatever was to become a folder anywhere below `folder`."""
    _remove(list(folder.rglob(".*.part-*")))


def _remove(parts: Iterable[Path]) -> None:
    for part in parts:
        if not _is_alive(part):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


def _is_alive(part: Path) -> bool:
    """Whether somebody else may still be writing it.

    Pods share a volume and have equal process ids; of a process elsewhere only time can tell.
    """
    owner = part.name.rpartition(".part-")[2].removesuffix("-old")
    pid, _, host = owner.partition("@")
    if host and host != socket.gethostname():
        try:
            return time.time() - part.stat().st_mtime < _FORGOTTEN_SECONDS
        except FileNotFoundError:
            return False
    return pid.isdigit() and int(pid) != os.getpid() and psutil.pid_exists(int(pid))


def _part(out: Path) -> Path:
    """Beside `out`, and this process's alone, also where several machines share the folder."""
    return out.with_name(f".{out.name}.part-{os.getpid()}@{socket.gethostname()}")


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out` that becomes `out` when the block ends well.

    What stood at `out` is replaced. When the block raises, or the process is killed, `out` is
    as before; the half-written folder is removed at once or, after a kill, by the next call.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    part = _part(out)
    part.mkdir()
    try:
        yield part
        sync_tree(part)
        if out.exists():
            # A folder cannot be replaced by one rename; a kill between the two leaves nothing,
            # and nothing is one of the two states that are allowed.
            old = part.with_name(f"{part.name}-old")
            out.rename(old)
            part.rename(out)
            shutil.rmtree(old)
        else:
            part.rename(out)
        sync(out.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_text(path: Path, text: str, *, secret: bool = False) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file.
        text: All of it.
        secret: Whether nobody but this user may ever read it.
    """
    part = _part(path)
    try:
        if secret:
            part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")
        sync(part)
        part.replace(path)
        sync(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
