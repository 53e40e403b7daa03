"""How long a step takes to its first line: called by Kubeflow's executor, and by the command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from processes import environment

from openautoglm.config.project import Project
from openautoglm.kubeflow.building import Building
from openautoglm.kubeflow.compiling import params_of, settings_of
from openautoglm.kubeflow.loading import load_pipeline
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import PROJECT

_INPUT = re.compile(r"Executing task '([a-z-]+)'.*?Got executor_input:\n(.*?\n    \})\n", re.DOTALL)


class Starts(NamedTuple):
    """Median seconds by each caller."""

    component: float
    step: float


def starts(stepped: Path, piped: Path, runs: int) -> dict[str, Starts]:
    """Each step of training, by both callers in turns; it is ended when its first line is there.

    Args:
        stepped: A project in which each step has been called.
        piped: A project in which the pipeline has run; what it keeps of its steps goes.
        runs: How often by each caller.
    """
    shutil.rmtree(Project(piped).finished)
    inputs, sources = _inputs(Project(piped)), _sources(Project(piped))
    found = {}
    for name in STEPS:
        if name not in inputs:
            continue
        module = piped / f"{name}_component.py"
        module.write_text(sources[name], encoding="utf-8")
        component = (
            *("python", "-m", "kfp.dsl.executor_main", "--component_module_path", str(module)),
            *("--executor_input", inputs[name], "--function_to_execute", name),
        )
        step = ("openautoglm", "step", name)
        turns = [
            (_seconds(component, name, piped), _seconds(step, name, stepped)) for _ in range(runs)
        ]
        found[name] = Starts(*(median(column) for column in zip(*turns, strict=True)))
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def _seconds(command: tuple[str, ...], name: str, project: Path) -> float:
    """Until a line of the step's own.

    Raises:
        SystemExit: There was none; what it said has been shown.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environment(**{PROJECT: str(project)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if line.startswith(f"[{name}] "):
                return time.perf_counter() - begin
    finally:
        process.kill()
        process.communicate()
    sys.exit(f"{name} said nothing of its own:\n{''.join(said)}")


def _inputs(project: Project) -> Mapping[str, str]:
    """Task to what the runner gave it in the last run, as JSON."""
    log = (project.pipelines / "training.log").read_text(encoding="utf-8")
    return {name: json.dumps(json.loads(text)) for name, text in _INPUT.findall(log)}


def _sources(project: Project) -> Mapping[str, str]:
    """Task to the module that the runner writes for it."""
    given = Building(params_of(project), settings_of(project), local=True)
    spec = load_pipeline(project, "training", given).pipeline_spec
    executors = spec.deployment_spec["executors"]
    return {
        label.removeprefix("exec-"): str(one["container"]["command"][3])
        for label, one in executors.items()
    }
