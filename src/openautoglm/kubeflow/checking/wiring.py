"""The tasks of a pipeline, held against one another.

The server takes a pipeline whose tasks refer to what does not exist, and fails hours later, in the
middle of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from openautoglm.kubeflow.checking.inputs import KINDS, inputs
from openautoglm.kubeflow.checking.ir import Finding, Ir, Message
from openautoglm.kubeflow.checking.levels import ROOT, Dag, dags, is_exit


def wiring(ir: Ir) -> Iterator[Finding]:
    """What is wrong between tasks, and between a task and its component."""
    if ir.spec.root.WhichOneof("implementation") != "dag":
        yield Finding("the pipeline has no root with tasks: there is nothing to run", (ROOT,))
    for dag in dags(ir):
        if not any(not is_exit(task) for task in dag.tasks.values()):
            yield Finding("there are no tasks but exit tasks", (*dag.path, "dag"))
        yield from _order(dag)
        yield from _outputs(dag)
        for name in dag.tasks:
            yield from _task(dag, name)


def _order(dag: Dag) -> Iterator[Finding]:
    graph = {
        name: {one for one in _producers(task) if dag.has(one)} for name, task in dag.tasks.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        around = " -> ".join(error.args[1])
        yield Finding(f"tasks wait for one another: {around}", dag.to(error.args[1][0]))
    ends: dict[str, str] = {}
    for name, task in dag.tasks.items():
        for one in sorted(_producers(task)):
            if dag.has(one) and is_exit(dag.tasks[one]):
                path = dag.to(name, "dependentTasks")
                yield Finding(f"it waits for the exit task `{one}`, which is no part", path, name)
        for one in task.dependent_tasks if is_exit(task) else ():
            if ends.setdefault(one, name) != name:
                told = f"it and `{ends[one]}` are exit tasks of `{one}`: only one would run"
                yield Finding(told, dag.to(name), name)


def _task(dag: Dag, name: str) -> Iterator[Finding]:
    task = dag.tasks[name]
    if dag.called(name) is None:
        told = f"it calls the component `{task.component_ref.name}`, which does not exist"
        yield Finding(told, dag.to(name, "componentRef"), name)
    for one in task.dependent_tasks:
        if not dag.has(one):
            told = f"it waits for the task `{one}`, which does not exist here"
            yield Finding(told, dag.to(name, "dependentTasks"), name)
    if is_exit(task):
        yield from _exit(dag, name)
    yield from inputs(dag, name)


def _exit(dag: Dag, name: str) -> Iterator[Finding]:
    """An exit task is a hook of the one task that it comes after."""
    task = dag.tasks[name]
    if len(task.dependent_tasks) != 1:
        told = f"an exit task comes after one task, and this one after {len(task.dependent_tasks)}"
        yield Finding(told, dag.to(name), name)
    for key, given in task.inputs.parameters.items():
        if given.WhichOneof("kind") == "task_final_status":
            producer = given.task_final_status.producer_task
            if producer not in task.dependent_tasks:
                told = f"it is told the end of `{producer}`, and does not come after that"
                yield Finding(told, dag.to(name, "inputs", "parameters", key), name)


def _outputs(dag: Dag) -> Iterator[Finding]:
    """What a level hands on must come from a task of its own."""
    for kind in KINDS:
        given = getattr(dag.component.dag.outputs, kind)
        defined = getattr(dag.component.output_definitions, kind)
        for key in sorted(set(given) ^ set(defined)):
            path = (*dag.path, "outputDefinitions", kind, key)
            yield Finding(f"the output `{key}` is not both defined and made", path)
        for key in sorted(given):
            for task, output in _selected(given[key]):
                called = dag.called(task)
                if called is None or output not in getattr(called.output_definitions, kind):
                    path = (*dag.path, "dag", "outputs", kind, key)
                    yield Finding(f"`{key}` is `{output}` of `{task}`: there is none", path)


def _selected(given: Message) -> Iterator[tuple[str, str]]:
    """Tasks and outputs that one output of a level is made of."""
    if hasattr(given, "artifact_selectors"):
        for one in given.artifact_selectors:
            yield one.producer_subtask, one.output_artifact_key
    elif given.WhichOneof("kind") == "value_from_oneof":
        for one in given.value_from_oneof.parameter_selectors:
            yield one.producer_subtask, one.output_parameter_key
    else:
        one = given.value_from_parameter
        yield one.producer_subtask, one.output_parameter_key


def _producers(task: Message) -> set[str]:
    """Tasks that must come before: those it waits for, and those it is given something by."""
    found = set(task.dependent_tasks)
    for given in task.inputs.parameters.values():
        if given.WhichOneof("kind") == "task_output_parameter":
            found.add(given.task_output_parameter.producer_task)
    for given in task.inputs.artifacts.values():
        if given.WhichOneof("kind") == "task_output_artifact":
            found.add(given.task_output_artifact.producer_task)
    return found
