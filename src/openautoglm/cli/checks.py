"""What `openautoglm doctor` looks at; each check says what to do when it is not content."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from openautoglm.cli.check import Check, told
from openautoglm.cli.live_checks import live_checks
from openautoglm.cli.pipeline_checks import pipeline_checks
from openautoglm.config.params import Params
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.errors import InputError
from openautoglm.observability.machine import cpu_flags, machine

GB = 10**9


class Profile(NamedTuple):
    """What a machine should have."""

    cores: int
    memory: int
    disk: int


PROFILES = {"dev": Profile(4, 8, 100), "production": Profile(16, 32, 500)}
EXTRAS = {
    "dashboard": ("optuna-dashboard", "looking at the studies of tune and compress"),
    "kubeflow": ("kfp", "openautoglm pipeline, parity"),
    "hub": ("datasets", "data.source of kind huggingface"),
    "s3": ("dvc-s3", "a DVC remote in an S3-compatible store"),
    "postgres": ("psycopg2-binary", "MLflow or a study on PostgreSQL"),
    "server": ("Flask-WTF", "an MLflow server with accounts"),
}
_INTEGERS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def checks(project: Project | None, profile: Profile) -> Iterator[Check]:
    """Check machine, tools, optional parts and stores, the slow ones last.

    Args:
        project: The project whose stores are asked; None outside one.
        profile: What the machine should have.
    """
    yield _python()
    yield from _size(project.root if project else Path.cwd(), profile)
    yield from _tools()
    yield from _extras()
    yield _accelerators()
    yield _integers()
    if study := os.environ.get("OPENAUTOGLM_STUDY"):
        yield _study(study)
    if project is None:
        yield Check("project", "note", "none here", "cd to a folder with params.yaml and dvc.yaml")
        return
    yield _params(project)
    yield _tracking(project)
    yield from live_checks(project)
    yield from pipeline_checks(project)
    yield _remote(project)


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    advice = "" if good else "install Python 3.11 or newer, then: make PYTHON=python3.11 run"
    return Check("Python", "ok" if good else "broken", platform.python_version(), advice)


def _size(folder: Path, profile: Profile) -> Iterator[Check]:
    here = machine()
    free = shutil.disk_usage(folder).free
    memory = here.memory / GB
    yield Check(
        "cores",
        "ok" if here.cores >= profile.cores else "short",
        f"{here.cores:g} of {profile.cores}",
        ""
        if here.cores >= profile.cores
        else "everything works, training takes longer; "
        "train.threads is part of the result, so set it once",
    )
    yield Check(
        "memory",
        "ok" if memory >= profile.memory * 0.95 else "short",
        f"{memory:.1f} of {profile.memory} GB",
        "" if memory >= profile.memory * 0.95 else "lower train.batch_size",
    )
    yield Check(
        "free disk",
        "ok" if free >= profile.disk * GB else "short",
        f"{free / GB:.0f} of {profile.disk} GB",
        "" if free >= profile.disk * GB else "dvc gc --workspace removes old outputs",
    )


def _tools() -> Iterator[Check]:
    for tool, why in {"git": "revisions and experiments", "dvc": "dvc repro"}.items():
        path = shutil.which(tool)
        if path is None:
            yield Check(tool, "broken", f"not on PATH, needed for {why}", _tool_advice(tool))
        else:
            yield Check(tool, "ok", _first_line([path, "--version"]))


def _tool_advice(tool: str) -> str:
    if tool == "dvc":
        return f"export PATH={Path(sys.executable).parent}:$PATH"
    return f"install {tool} with the system's package manager"


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def _extras() -> Iterator[Check]:
    for extra, (distribution, use) in EXTRAS.items():
        try:
            yield Check(f"extra {extra}", "ok", f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            yield Check(
                f"extra {extra}",
                "note",
                f"not installed; for {use}",
                f"pip install -c constraints.txt -e '.[{extra}]'",
            )


def _accelerators() -> Check:
    from openautoglm.training.devices import accelerators

    found = accelerators()
    if found:
        return Check("accelerators", "ok", ", ".join(found))
    return Check(
        "accelerators", "note", "none seen by torch", "not needed; fine-tuning large bases is slow"
    )


def _integers() -> Check:
    flags = cpu_flags()
    found = [flag for flag in flags if flag in _INTEGERS]
    if found:
        return Check("INT8", "ok", ", ".join(found))
    return Check(
        "INT8",
        "note",
        "no instructions for sums of 8-bit products",
        "INT8 variants are slower here and may answer a little differently than elsewhere",
    )


def _study(url: str) -> Check:
    from openautoglm.tuning.storage import reachable

    try:
        return Check("study", "ok", reachable(url))
    except InputError as error:
        return Check("study", "broken", told(error), error.hint or "set OPENAUTOGLM_STUDY")


def _params(project: Project) -> Check:
    try:
        load(project.params_file, Params)
    except InputError as error:
        return Check("params.yaml", "broken", str(error))
    return Check("params.yaml", "ok", str(project.params_file))


def _tracking(project: Project) -> Check:
    from openautoglm.registry.store import reachable

    try:
        return Check("MLflow", "ok", reachable(project))
    except InputError as error:
        return Check("MLflow", "broken", told(error), error.hint or "set MLFLOW_TRACKING_URI")


def _remote(project: Project) -> Check:
    from openautoglm.data.remotes import default_remote

    try:
        found = default_remote(project.root)
    except InputError as error:
        return Check("DVC remote", "broken", told(error), error.hint or "dvc remote modify")
    if found is None:
        return Check("DVC remote", "note", "no default remote", "dvc remote add -d NAME URL")
    return Check("DVC remote", "ok", found)
