"""What runs of pipelines on this machine leave: pages, folders, rows of the registry."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import PURE, Small


@dataclass(frozen=True)
class PipelineRun:
    """One `openautoglm pipeline run`.

    Attributes:
        stdout: The page.
        stderr: What the steps said.
        folder: What its tasks wrote.
        log: Everything that was said.
    """

    stdout: str
    stderr: str
    folder: Path
    log: str

    def digests(self) -> dict[str, str]:
        """Payload digest of each pure step that it has run."""
        return {
            name: json.loads((place / "manifest.json").read_text())["digest"]
            for name, place in self._places().items()
        }

    def again(self) -> list[str]:
        """Pure steps whose output it took from an earlier run."""
        return [name for name in PURE if f"[{name}] made before from the same" in self.stderr]

    def receipt(self, output: str) -> dict[str, Any]:
        """What an effect left."""
        (file,) = self.folder.glob(f"*/{output}/receipt.json")
        return json.loads(file.read_text(encoding="utf-8"))

    def artifact(self, task: str, name: str) -> dict[str, Any]:
        """What Kubeflow is told of an artifact: name, URI, metadata."""
        told = json.loads((self.folder / task / "executor_output.json").read_text("utf-8"))
        (found,) = told["artifacts"][name]["artifacts"]
        return found

    def _places(self) -> dict[str, Path]:
        found = {name: self.folder / name / Path(out).name for name, out in PURE.items()}
        return {name: place for name, place in found.items() if place.exists()}


def run_pipeline(project: Small, name: str, *arguments: str, code: int = 0) -> PipelineRun:
    """Run a pipeline of a project in a process of its own, and demand an exit code."""
    done = project.run("openautoglm", "pipeline", "run", name, *arguments, code=code)
    kept = project.root / ".openautoglm" / "pipelines"
    folder = max(kept.glob(f"{name}-[0-9]*"))
    log = (kept / f"{name}.log").read_text(encoding="utf-8")
    return PipelineRun(done.stdout, done.stderr, folder, log)


IN_TRAIN = "[train] transformer: 0.0 million weights"
"""What a small project says just before its encoder learns."""


def kill_in_train(project: Small, *arguments: str, whole: bool) -> str:
    """Run training and kill it while its model learns.

    Args:
        project: Whose pipeline.
        arguments: Of the command.
        whole: Kill everybody at work, and not only the one who was called.

    Returns:
        What the steps said until then.
    """
    process = subprocess.Popen(
        ("openautoglm", "pipeline", "run", "training", *arguments),
        cwd=project.root,
        env=project.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = []
    with process.stderr:
        for line in process.stderr:
            said.append(line)
            if line.startswith(IN_TRAIN):
                break
        if whole:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        said += process.stderr.readlines()
    told = "".join(said)
    assert process.wait() == -signal.SIGKILL, f"it never came to train:\n{told}"
    assert "[train] done" not in told, "the kill came too late"
    return told


def registered(project: Small) -> tuple[list[int], dict[str, int]]:
    """Versions and aliases, straight from the registry's database."""
    return (
        [version for (version,) in _rows(project, "select version from model_versions order by 1")],
        dict(_rows(project, "select alias, version from registered_model_aliases")),
    )


def recorded(project: Small, pipeline: str) -> list[str]:
    """How the runs of a pipeline ended, oldest first, as MLflow has it."""
    states = _rows(
        project,
        "select state.value from runs join tags state on state.run_uuid = runs.run_uuid "
        "where state.key = 'pipeline.state' and runs.name = ? order by runs.start_time",
        f"pipeline {pipeline}",
    )
    return [state for (state,) in states]


def _rows(project: Small, query: str, *values: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(project.root / "mlflow.db") as database:
        return database.execute(query, values).fetchall()


def find_python_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """For Kubeflow's local runner without ours around it: a blank in python's path breaks it."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", "python3")
