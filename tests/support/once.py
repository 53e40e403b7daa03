"""What is costly to make, made once in a run of the tests, whichever of its processes is first."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from openautoglm.config.project import Project


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that `make` has filled, and that nobody changes afterwards: tests copy it."""
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


class EmptyStores:
    """MLflow databases as a project's first use makes them, copied: MLflow takes seconds for one.

    Attributes:
        shared: A folder of all processes of this run; conftest sets it.
    """

    shared: Path

    def put(self, root: Path) -> None:
        """Give a project one, unless it has one."""
        if not (root / "mlflow.db").exists():
            root.mkdir(parents=True, exist_ok=True)
            made = made_once(self.shared / "empty-store", _make)
            shutil.copyfile(made / "mlflow.db", root / "mlflow.db")


def _make(root: Path) -> None:
    from openautoglm.registry.store import open_store

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_store(Project(root))


empty_stores = EmptyStores()
