"""A pipeline on this machine: Kubeflow's local runner, no cluster."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kfp import local

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import MANIFEST
from openautoglm.config.project import Project
from openautoglm.errors import InputError, OpenAutoGLMError, StepError
from openautoglm.kubeflow.arguments import check_arguments, inputs_in, read_arguments
from openautoglm.kubeflow.building import Building
from openautoglm.kubeflow.compiling import params_of, settings_of
from openautoglm.kubeflow.loading import load_pipeline
from openautoglm.kubeflow.narrated import narrated
from openautoglm.observability.progress import working_on
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import FAILURE, PROJECT, failure_of
from openautoglm.steps.effect import RECEIPT

_STUDY = "OPENAUTOGLM_STUDY"
_KEPT = 5
"""Runs whose outputs are kept; a hard link to each output is kept longer in `finished`."""


@dataclass(frozen=True)
class Ran:
    """A pipeline run that has ended well.

    Attributes:
        folder: Where its outputs are.
        outputs: Output artifact name to its folder, of steps.
    """

    folder: Path
    outputs: Mapping[str, Path]


def run(
    project: Project, name: str, *, sets: Sequence[str] = (), arguments: Sequence[str] = ()
) -> Ran:
    """Run a pipeline with Kubeflow's local runner.

    Args:
        project: Whose.
        name: Which.
        sets: `key.path=value` over `params.yaml`.
        arguments: `NAME=VALUE` for the pipeline's own parameters.

    Raises:
        ConfigError: Settings, parameters or the pipeline are not as they must be.
        StepError: A task failed; what it said stands above.
    """
    working_on("pipeline")
    settings = settings_of(project)
    pipeline = load_pipeline(project, name, Building(params_of(project, sets), settings, True))
    inputs = inputs_in(pipeline.pipeline_spec)
    given = read_arguments(arguments, inputs)
    check_arguments(name, inputs, given, "--argument {}".format)
    before = set(_runs(project, name))
    log = project.pipelines / f"{name}.log"
    with _environment(project, shared=settings.fan_out.tune > 1), _quiet(), narrated(log):
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(project.pipelines),
            raise_on_error=True,
        )
        try:
            pipeline(**given)
        except RuntimeError as error:
            raise _ended(name, _plain(error), log) from error
    (folder,) = set(_runs(project, name)) - before
    _let_go(project, name)
    return Ran(folder, _outputs(folder))


def _ended(name: str, what: str, log: Path) -> OpenAutoGLMError:
    """The end of a run as the same error that its task had; a fault where it had none."""
    hint = f"mend it, then again: openautoglm pipeline run {name}; what is finished is kept"
    told = failure_of(os.environ[FAILURE])
    if told is None:
        return StepError(f"{name} did not end well: {what}", where=str(log), hint=hint)
    kind = InputError if told.exit_code == InputError.exit_code else StepError
    return kind(f"{name} did not end well, {told.text}", hint=hint)


def _plain(error: RuntimeError) -> str:
    """The runner's sentence without its colours."""
    return re.sub(r"\x1b\[\d+m", "", str(error))


def _runs(project: Project, name: str) -> list[Path]:
    """Folders of this pipeline's runs, the newest last."""
    return sorted(project.pipelines.glob(f"{name}-[0-9]*"))


def _outputs(folder: Path) -> dict[str, Path]:
    """What steps wrote, in the order of the catalog: folders with a manifest, or a receipt."""
    files = [*folder.rglob(MANIFEST), *folder.rglob(RECEIPT)]
    found = {file.parent.name: file.parent for file in files if PAYLOAD not in file.parts}
    names = [Path(step.out).name for step in STEPS.values()]
    return {name: found[name] for name in names if name in found}


def _let_go(project: Project, name: str) -> None:
    for old in _runs(project, name)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _environment(project: Project, *, shared: bool) -> Iterator[None]:
    """What tasks inherit: the project, and one study where workers share a search."""
    project.pipelines.mkdir(parents=True, exist_ok=True)
    failure = project.pipelines / "failure.json"
    failure.unlink(missing_ok=True)
    given = {PROJECT: str(project.root), FAILURE: str(failure)}
    if shared and not os.environ.get(_STUDY):
        given[_STUDY] = f"sqlite:///{project.pipelines / 'study.db'}"
    # kfp puts the interpreter into a shell's command line as it is: one whose path has a blank
    # is found through PATH instead.
    python = sys.executable
    if shlex.quote(python) != python:
        given["PATH"] = f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        sys.executable = "python3"
    before = {key: os.environ.get(key) for key in given}
    os.environ.update(given)
    try:
        yield
    finally:
        sys.executable = python
        for key, value in before.items():
            if value is None:
                os.environ.pop(key)
            else:
                os.environ[key] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of what the local runner does without: images and resources."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You may be attemping to run a task")
        yield
