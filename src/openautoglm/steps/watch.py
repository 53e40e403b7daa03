"""What the component `watch` does: one look at a window beside the reference split."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from openautoglm.config.feedback import StoreUrl
from openautoglm.config.project import Project
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import ConfigError
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.caller import runtime_of
from openautoglm.steps.component import Artifact, entry, this_project
from openautoglm.steps.plan import planned
from openautoglm.steps.windows.judge import judge
from openautoglm.steps.windows.remote import local_copy
from openautoglm.steps.windows.result import read_result
from openautoglm.steps.windows.rows import Source, file_source
from openautoglm.steps.windows.service import service_source, stored_source

FEEDBACK = "OPENAUTOGLM_FEEDBACK"


class Told(NamedTuple):
    """The verdict of a window, and why."""

    verdict: str
    reason: str


@entry
def watch(
    inputs: Mapping[str, Artifact],
    params: str,
    watched: Artifact,
    *,
    window: str = "",
    service: str = "",
) -> Path:
    """Judge a window; its artifact gets the verdict and digests as metadata.

    Args:
        inputs: `prepared` and `compressed`: the rows and the model.
        params: What `params.yaml` would hold.
        watched: Where the report goes.
        window: Path or URI of a file of rows; relative paths are the project's.
        service: In place of a file, the service whose sampled requests are the window: in the
            feedback store that `OPENAUTOGLM_FEEDBACK` names, or deployed on this machine.

    Returns:
        The report's folder.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    working_on("watch")
    project, whole = this_project(), planned(params)
    folders = {name: Path(artifact.path) for name, artifact in inputs.items()}
    folder = Path(watched.path)
    with _source(project, window, service) as source:
        judged = judge(
            source,
            prepared=folders["prepared"],
            compressed=folders["compressed"],
            params=whole,
            tracker=runtime_of(project).tracker,
            out=folder,
        )
    say(f"{judged.found.verdict}: {judged.found.reason}")
    keys = ("file", "digest", "model_digest", "verdict", "found", "used")
    watched.metadata.update({key: judged.document[key] for key in keys})
    return folder


def told(folder: Path) -> Told:
    """The verdict as output parameters."""
    found = read_result(folder)
    return Told(found["verdict"], found["reason"])


def effects(folder: Path) -> dict[str, float]:
    """Effect of each column that could be compared."""
    columns = read_result(folder)["columns"]
    return {one["column"]: one["effect"] for one in columns if one["effect"] is not None}


@contextmanager
def _source(project: Project, window: str, service: str) -> Iterator[Source]:
    if bool(window) == bool(service):
        raise ConfigError(
            "there is no window to look at" if not window else "two windows are given",
            where="arguments `window` and `service` of the pipeline",
            allowed="one of them: a file of rows, or a service that keeps its requests",
        )
    if window:
        with local_copy(window, project.root) as path:
            yield file_source(path)
    elif url := os.environ.get(FEEDBACK):
        yield stored_source(_checked(url), service)
    else:
        # Nobody has asked it yet: that is too little data, and no reason to fail every night.
        yield service_source(ServiceFolder(project, service), idle=True)


def _checked(url: str) -> str:
    try:
        found: str = TypeAdapter(StoreUrl).validate_python(url)
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        # Without the cause: it would show what was found, and that may hold a password.
        raise ConfigError(message, where=f"environment variable {FEEDBACK}") from None
    return found
