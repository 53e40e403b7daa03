"""The three callers of the steps, each on a project of its own, with an empty registry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from openautoglm.config.project import Project
from openautoglm.errors import StepError
from openautoglm.kubeflow.running import run
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.caller import run_step
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.shown import gate

Outputs = Mapping[str, Path]
"""Step to the folder that it wrote."""
_OURS = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_DEFAULT_ARTIFACT_ROOT"),
    *("OPENAUTOGLM_STUDY", "OPENAUTOGLM_NOTIFY_URL", "OPENAUTOGLM_KUBEFLOW_HOST"),
    *("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"),
)


def direct(project: Project) -> Outputs:
    """Call each step as a function, in this process."""
    with _own_stores():
        for step in STEPS.values():
            folders = {key: project.root / place for key, place in step.inputs.items()}
            run_step(project, step, folders, project.root / step.out)
    return _places(project)


def dvc(project: Project) -> Outputs:
    """`dvc repro`, in a process of its own.

    Raises:
        StepError: It did not end well; what it said stands above.
    """
    with _own_stores():
        for command in (["init", "--no-scm", "--force", "--quiet"], ["repro"]):
            done = subprocess.run(
                [sys.executable, "-m", "dvc", *command],
                cwd=project.root,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"DVC_NO_ANALYTICS": "1", "PATH": _path()},
                check=False,
            )
            if done.returncode:
                raise StepError(
                    f"dvc {command[0]} ended with {done.returncode}", where=str(project.root)
                )
    return _places(project)


def kubeflow(project: Project) -> Outputs:
    """The pipelines training and canary, with Kubeflow's local runner.

    The second begins with a registered version: after a failed gate there is none, and no canary.
    """
    with _own_stores():
        made = dict(run(project, "training").outputs)
        if gate(made["evaluation"])[0] == "pass":
            made |= run(project, "canary").outputs
    places = {name: Path(step.out).name for name, step in STEPS.items()}
    return {name: made[place] for name, place in places.items() if place in made}


CALLERS: dict[str, Callable[[Project], Outputs]] = {
    "direct": direct,
    "dvc": dvc,
    "kubeflow": kubeflow,
}


def called(name: str, project: Project) -> Outputs:
    """Run one caller."""
    working_on("parity")
    say(f"{name}: the whole chain")
    return CALLERS[name](project)


def _places(project: Project) -> Outputs:
    return {name: project.root / step.out for name, step in STEPS.items()}


def _path() -> str:
    """With this environment's commands first: stages call `openautoglm`."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


@contextmanager
def _own_stores() -> Iterator[None]:
    """A registry and studies of its own for each, whatever this shell is told; nobody is called."""
    before = {name: os.environ.pop(name, None) for name in _OURS}
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})
