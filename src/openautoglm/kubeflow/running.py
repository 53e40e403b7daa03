"""A pipeline on this machine: Kubeflow's local runner, no cluster."""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kfp import local

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.lock import exclusive
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
from openautoglm.steps.orphan import calling
from openautoglm.steps.remembered import remembered

_STUDY = "OPENAUTOGLM_STUDY"
_KEPT = 5
"""Runs whose outputs are kept, beside those that registered versions came from."""
_TIME = r"-\d{4}(-\d\d){5}-\d{6}"
"""What the runner appends to a pipeline's name: when the run began."""


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
        BusyError: Another run is at work in this project.
        ConfigError: Settings, parameters or the pipeline are not as they must be.
        InputError: A task was given something that it cannot use.
        StepError: A task failed; what it said stands above.
    """
    working_on("pipeline")
    settings = settings_of(project)
    pipeline = load_pipeline(project, name, Building(params_of(project, sets), settings, True))
    inputs = inputs_in(pipeline.pipeline_spec)
    given = read_arguments(arguments, inputs)
    check_arguments(name, inputs, given, "--argument {}".format)
    log = project.pipelines / f"{name}.log"
    folders = f"{re.escape(pipeline.pipeline_spec.pipeline_info.name)}{_TIME}"
    with (
        exclusive(project.pipelines / "run.lock"),
        calling(project.pipelines / "tasks.lock") as known,
        _environment(project, known, shared=settings.fan_out.tune > 1),
        _quiet(),
        narrated(log),
    ):
        before = set(_runs(project, folders))
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(project.pipelines),
            raise_on_error=True,
        )
        try:
            pipeline(**given)
        except RuntimeError as error:
            raise _ended(name, _plain(error), log) from error
        finally:
            _let_go(_runs(project, folders))
        (folder,) = set(_runs(project, folders)) - before
        return Ran(folder, _outputs(folder))


def _ended(name: str, what: str, log: Path) -> OpenAutoGLMError:
    """The end of a run as the same error that its task had; a fault where it had none."""
    again = f"openautoglm pipeline run {name}; what is finished is kept"
    hint = f"mend it, then again: {again}"
    told = failure_of(os.environ[FAILURE])
    if told is None:
        return StepError(f"{name} did not end well: {what}", where=str(log), hint=hint)
    kind = InputError if told.exit_code == InputError.exit_code else StepError
    text = f"{name} did not end well, {told.text}"
    if "\n  next:" in told.text:
        return kind(f"{text}\n  then:    {again}")
    return kind(text, hint=hint)


def _plain(error: RuntimeError) -> str:
    """The runner's sentence without its colours."""
    return re.sub(r"\x1b\[\d+m", "", str(error))


def _runs(project: Project, name: str) -> list[Path]:
    """Folders of one pipeline's runs, the newest last."""
    found = project.pipelines.iterdir()
    return sorted(folder for folder in found if re.fullmatch(name, folder.name))


def _outputs(folder: Path) -> dict[str, Path]:
    """What steps wrote, in the order of the catalog: folders with a manifest, or a receipt."""
    files = [*folder.rglob(MANIFEST), *folder.rglob(RECEIPT)]
    made = [file.parent for file in files if PAYLOAD not in file.relative_to(folder).parts]
    found = {output.name: output for output in made}
    names = [Path(step.out).name for step in STEPS.values()]
    return {name: found[name] for name in names if name in found}


def _let_go(runs: Sequence[Path]) -> None:
    """Remove all but the newest; a later run may begin with what a version came from."""
    kept = {*runs[-_KEPT:], *remembered(runs)}
    for old in runs:
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _environment(project: Project, known: Mapping[str, str], *, shared: bool) -> Iterator[None]:
    """What tasks inherit: project and caller, and one study where workers share a search."""
    failure = project.pipelines / "failure.json"
    failure.unlink(missing_ok=True)
    given = {PROJECT: str(project.root), FAILURE: str(failure), **known}
    if shared and not os.environ.get(_STUDY):
        given[_STUDY] = f"sqlite:///{project.pipelines / 'study.db'}"
    # The runner puts the interpreter in the place of every `python3` in a task's command, as it
    # is: a blank in its path breaks the command, and a file called python3.csv is not found. So it
    # is found through PATH.
    python = sys.executable
    if Path(python).with_name("python3").exists():
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
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of what the local runner does without: images and resources."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You may be attemping to run a task")
        yield
