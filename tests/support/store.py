"""Put a model into the store in a process of its own, and SIGKILL it at its n-th file."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from openautoglm.config.project import Project
from openautoglm.deploy.store import ModelStore

CONTEXT = multiprocessing.get_context("forkserver")


def put_elsewhere(
    root: Path, model: Path, digest: str, kill_at: int | None = None
) -> ForkServerProcess:
    """A process that puts a model into a project's store."""
    process = CONTEXT.Process(target=_put, args=(root, model, digest, kill_at))
    process.start()
    return process


def _put(root: Path, model: Path, digest: str, kill_at: int | None) -> None:
    copy, count = shutil.copyfile, 0

    def copyfile(source: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return copy(source, target)

    shutil.copyfile = copyfile
    ModelStore(Project(root)).put(model, digest)
