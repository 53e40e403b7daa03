"""The project root, and the places below it. Nothing is found through the current directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from openautoglm.errors import ConfigError


@dataclass(frozen=True)
class Project:
    """A folder that holds `params.yaml` beside `dvc.yaml`."""

    root: Path

    @property
    def params_file(self) -> Path:
        """How a model is made."""
        return self.root / "params.yaml"

    @property
    def config_file(self) -> Path:
        """How a model is served."""
        return self.root / "config.yaml"

    @property
    def pipeline_settings(self) -> Path:
        """Where and how the tasks of a Kubeflow pipeline run."""
        return self.root / "pipelines" / "settings.yaml"

    @property
    def state(self) -> Path:
        """What is this machine's own: work folders, locks, the local remote."""
        return self.root / ".openautoglm"

    @property
    def work(self) -> Path:
        """Checkpoints of unfinished steps; outlives DVC's removal of a stage's outputs."""
        return self.state / "work"

    @property
    def finished(self) -> Path:
        """Outputs of components, kept by what they were made from."""
        return self.state / "finished"

    @property
    def pipelines(self) -> Path:
        """Outputs of local pipeline runs."""
        return self.state / "pipelines"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store: `MLFLOW_TRACKING_URI`, or the project's own SQLite file."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifact_root(self) -> Path:
        """Where a store that is the project's own file keeps artifacts."""
        return self.root / "mlartifacts"

    @property
    def effects_lock(self) -> Path:
        """Held while the registry or traffic is changed."""
        return self.state / "effects.lock"


def find_project(given: Path | None = None) -> Project:
    """The given folder, or the nearest parent of the current one that is a project.

    Raises:
        ConfigError: There is none.
    """
    start = (given or Path.cwd()).absolute()
    candidates = [start] if given else [start, *start.parents]
    for folder in candidates:
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return Project(folder.resolve())
    raise ConfigError(
        "no params.yaml beside a dvc.yaml",
        where=str(start) if given else f"{start} and its parents",
        hint="cd to the project, or: openautoglm --project FOLDER ...",
    )
