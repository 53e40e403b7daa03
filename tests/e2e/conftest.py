"""What the tests of the whole chain share: they are one xdist group, and so one process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.project import Small


class Run(NamedTuple):
    """One `dvc repro` of the whole chain, and `openautoglm verify`.

    Attributes:
        project: Where it ran, with its results committed.
        said: What DVC printed.
        page: What `verify` printed.
        copy: A copy of the project from before anybody changed it.
    """

    project: Small
    said: str
    page: str
    copy: Small


@pytest.fixture(scope="session")
def chain_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The chain on a project whose candidate is the transformer, which can be cut."""
    folder: Path = tmp_path_factory.mktemp("chain")
    project = Small(folder / "project")
    project.change(
        train={"epochs": 4, "lr": 0.003, "glm": {"penalty": 1e-6}},
        tune={"space": {"lr": {"low": 0.001, "high": 0.004, "log": True}}},
    )
    repro = project.run("dvc", "repro")
    page = project.run("openautoglm", "verify").stdout
    project.run("git", "add", "-A")
    project.commit("first results")
    shutil.copytree(project.root, folder / "copy", symlinks=True)
    return Run(project, repro.stdout + repro.stderr, page, project.at(folder / "copy"))
