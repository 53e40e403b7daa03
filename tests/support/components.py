"""Where a step, its DVC stage and its Kubeflow component say different things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType, PipelineSpec

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import dvc_keys
from openautoglm.steps.catalog import Step
from openautoglm.steps.effect import RECEIPT

RUNTIME = {"work"}
"""Inputs of components that are no inputs of steps: they change no result."""


def disagreements(
    steps: Iterable[Step], stages: Mapping[str, Any], pipelines: Iterable[PipelineSpec]
) -> list[str]:
    """One sentence each.

    Args:
        steps: The catalog's.
        stages: Of `dvc.yaml`.
        pipelines: Those that hold the chain, compiled.
    """
    steps, specs = list(steps), list(pipelines)
    known = {step.name: step for step in steps}
    found = []
    for step in steps:
        found += _stage(step, stages.get(step.name))
        tasks = [task for spec in specs for task in _tasks(spec, step.name)]
        if not tasks:
            found.append(f"{step.name} has no component in a pipeline")
        for spec, task in tasks:
            found += _component(step, spec, task, known)
    return found


def _stage(step: Step, stage: Any) -> Iterator[str]:
    if stage is None:
        yield f"{step.name} has no stage"
        return
    read = {dep.removesuffix(f"/{PAYLOAD}").removesuffix(f"/{RECEIPT}") for dep in stage["deps"]}
    for place in step.inputs.values():
        if place not in read:
            yield f"stage {step.name} does not depend on {place}"
    made = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    if made != [step.out]:
        yield f"stage {step.name} writes {made}, not {step.out}"
    if stage.get("params", []) != dvc_keys(step.params):
        yield f"stage {step.name} has other parameters"


def _tasks(spec: PipelineSpec, name: str) -> Iterator[tuple[PipelineSpec, Any]]:
    dags = [spec.root.dag, *(c.dag for c in spec.components.values() if c.HasField("dag"))]
    for dag in dags:
        for task in dag.tasks.values():
            if task.component_ref.name == f"comp-{name}":
                yield spec, task


def _component(step: Step, spec: PipelineSpec, task: Any, known: dict[str, Step]) -> Iterator[str]:
    component = spec.components[f"comp-{step.name}"]
    told = f"component {step.name}"
    inputs = set(component.input_definitions.artifacts) - RUNTIME
    if inputs != set(step.inputs):
        yield f"{told} takes {sorted(inputs)}, the step {sorted(step.inputs)}"
    parameters = component.input_definitions.parameters
    if set(parameters) != {"params"} or parameters["params"].parameter_type != ParameterType.STRING:
        yield f"{told} has the parameters {sorted(parameters)}, and not its view alone"
    if Path(step.out).name not in component.output_definitions.artifacts:
        yield f"{told} has no output {Path(step.out).name}"
    yield from _wiring(step, task, known)


def _wiring(step: Step, task: Any, known: dict[str, Step]) -> Iterator[str]:
    view = task.inputs.parameters["params"]
    asked = view.task_output_parameter.output_parameter_key or view.component_input_parameter
    if asked.removeprefix("pipelinechannel--plan-") != step.name:
        yield f"component {step.name} is given the view `{asked}`"
    made = {other.out: Path(other.out).name for other in known.values()}
    for name, place in step.inputs.items():
        if name not in task.inputs.artifacts:
            continue
        given = task.inputs.artifacts[name]
        key = given.task_output_artifact.output_artifact_key or given.component_input_artifact
        key = key.rpartition("-")[2] if key.startswith("pipelinechannel--") else key
        if key not in (made.get(place), "artifact"):  # an importer's output is called `artifact`
            yield f"component {step.name} is given {key} as {name}, and not {made.get(place)}"
