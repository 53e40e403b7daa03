"""What every Kubeflow component does around a step: folders from artifacts, runtime, exit code.

Artifacts are what Kubeflow gives a component; they are used by their shape, since no step knows
Kubeflow.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from pydantic import ValidationError

from openautoglm.artifacts.code import code_digest
from openautoglm.artifacts.disk import disk_problem
from openautoglm.artifacts.folder import write_text
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.model import Settings
from openautoglm.config.project import Project, find_project
from openautoglm.errors import ConfigError, OpenAutoGLMError
from openautoglm.observability.collector import leave_at_once
from openautoglm.observability.openmp import spin_shortly
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.attempt import attempt_of
from openautoglm.steps.caller import runtime_of
from openautoglm.steps.catalog import STEPS, Step
from openautoglm.steps.finished import keep, take
from openautoglm.steps.orphan import end_with_caller
from openautoglm.steps.runtime import Runtime

PROJECT, CODE, FAILURE = "OPENAUTOGLM_PROJECT", "OPENAUTOGLM_CODE", "OPENAUTOGLM_FAILURE"
_COMMIT = re.compile("[0-9a-f]{40}")
P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Settings)


class Artifact(Protocol):
    """A Kubeflow artifact: a place, and what the UI shows beside it."""

    path: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """How a component ended that did not end well.

    Attributes:
        exit_code: 2 for bad input, 1 for a fault.
        text: What its error says.
    """

    exit_code: int
    text: str


def failure_of(place: str) -> Failure | None:
    """What a component left at `OPENAUTOGLM_FAILURE`, which a caller on this machine may set."""
    try:
        return Failure(**json.loads(Path(place).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def entry(body: Callable[P, R]) -> Callable[P, R]:
    """Decorate what a component calls: an error becomes its text and its exit code.

    The same codes as on the command line: 2 for bad input, 1 for a fault.
    """

    @functools.wraps(body)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        spin_shortly()
        leave_at_once()
        end_with_caller()
        try:
            return body(*args, **kwargs)
        except OpenAutoGLMError as error:
            raise _ended(_name(body.__name__, args), error) from error
        except Exception as error:
            full = disk_problem(error)
            if full is None:
                raise
            raise _ended(_name(body.__name__, args), full) from error

    return called


def _name(called: str, args: tuple[object, ...]) -> str:
    """What is at work: for `run` the step that it was told to run."""
    return str(args[0]) if called == run.__name__ and args else called


def _ended(name: str, error: OpenAutoGLMError) -> SystemExit:
    label = "error" if error.exit_code == 2 else "fault"
    print(f"{label}: {error}", file=sys.stderr, flush=True)  # noqa: T201
    if place := os.environ.get(FAILURE):
        told = Failure(error.exit_code, f"{name}: {error}")
        # Where the disk is full the text above has to do.
        with suppress(OSError):
            write_text(Path(place), json.dumps(asdict(told)))
    return SystemExit(error.exit_code)


@entry
def run(
    name: str,
    inputs: Mapping[str, Artifact],
    params: str,
    out: Artifact,
    work: Sequence[Artifact] = (),
) -> Path:
    """Run a step of the catalog.

    Args:
        name: The step.
        inputs: Its input folders, by argument name.
        params: Its view of `params.yaml`, as JSON.
        out: Where its output goes; the artifact gets step and digest as metadata.
        work: Work that other tasks have finished for it.

    Returns:
        The folder that was written.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    step, project = STEPS[name], this_project()
    refuse_other_code(step.module)
    view = checked(step.params, params, name)
    folder = Path(out.path)
    folders = {key: Path(artifact.path) for key, artifact in inputs.items()}
    runtime = replace(runtime_of(project), finished_work=tuple(Path(one.path) for one in work))
    out.metadata["step"] = name
    if step.effect:
        step.function(**folders, params=view, runtime=runtime, out=folder)
    else:
        _once(step, folders, view, runtime, folder, project.finished / name)
        out.metadata["digest"] = read_manifest(folder).digest
    return folder


def checked(model: type[M], given: str, name: str, parameter: str = "params") -> M:
    """What a component is given of `params.yaml`, or of the pipelines' settings.

    Args:
        model: A step's view, or a section of settings.
        given: The same as JSON.
        name: The component, for messages.
        parameter: Its parameter, for messages.

    Raises:
        ConfigError: It is none: the pipeline was compiled from other code.
    """
    try:
        return model.model_validate_json(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"the {parameter} do not fit: {first['msg']}",
            where=f"component {name}, {parameter}, key {'.'.join(map(str, first['loc']))}",
            hint="compile the pipeline again: openautoglm pipeline compile",
        ) from None


def _once(
    step: Step, folders: dict[str, Path], params: Settings, runtime: Runtime, out: Path, kept: Path
) -> None:
    """A pure step, or what it made before from the same."""
    working_on(step.name)
    manifests = {key: read_manifest(folder) for key, folder in folders.items()}
    attempt = attempt_of(step.module, manifests, params.model_dump(mode="json", by_alias=True))
    # The step is not even imported when its output is here.
    sealed = folders and not _reads_more(params)
    if sealed and (known := take(kept, attempt, out)):
        say(f"made before from the same: {known.digest[:19]}")
        return
    step.function(**folders, params=params, runtime=runtime, out=out)
    if sealed:
        keep(kept, attempt, out)


def _reads_more(params: Settings) -> bool:
    """Whether a step reads what no digest names: a base model that may change under its name.

    A step without inputs does, too: nobody but itself can say what it finds.
    """
    model = getattr(params, "model", None)
    base, revision = getattr(model, "base", None), getattr(model, "revision", None)
    return base is not None and not _COMMIT.fullmatch(revision or "")


def this_project() -> Project:
    """The project that this process works in.

    Raises:
        ConfigError: The environment names none.
    """
    given = os.environ.get(PROJECT)
    if not given:
        raise ConfigError(
            "a component does not know its project",
            where=f"environment variable {PROJECT}",
            allowed="the folder of params.yaml and dvc.yaml; the runner image sets it",
        )
    return find_project(Path(given))


def refuse_other_code(module: str) -> None:
    """Compare this code with the code that the pipeline was compiled with, if that is known.

    Raises:
        ConfigError: It is other code: the image is older or newer than the pipeline.
    """
    wanted = os.environ.get(CODE)
    if wanted and (found := code_digest(module)) != wanted:
        raise ConfigError(
            f"this is other code than the pipeline was compiled with: {found[:19]}",
            where=f"{module} of the image",
            allowed=wanted[:19],
            hint="build the image from the same commit, then: openautoglm pipeline compile",
        )
