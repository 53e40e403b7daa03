"""The components of a pipeline: what each is made of, and the types of what it takes."""

from __future__ import annotations

from collections.abc import Iterator

from openautoglm.kubeflow.checking.ir import Finding, Ir, Message
from openautoglm.kubeflow.checking.levels import ROOT, Path, dags, parts, task_of
from openautoglm.kubeflow.checking.values import misfit, type_name

_UNTYPED = "PARAMETER_TYPE_ENUM_UNSPECIFIED"


def components(ir: Ir) -> Iterator[Finding]:
    """Components without an executor, executors without a component, defaults that do not fit."""
    used = {task.component_ref.name for dag in dags(ir) for task in dag.tasks.values()}
    labels = {component.executor_label for _, _, component in parts(ir)}
    for name, path, component in parts(ir):
        if name != ROOT and name not in used:
            yield Finding(f"no task calls the component `{name}`", path)
        yield from _made_of(ir, name, path, component)
        yield from _definitions(component, path)
    for label in sorted(set(ir.executors) - labels):
        path = ("deploymentSpec", "executors", label)
        yield Finding(f"no component runs in the executor `{label}`", path)
    yield from _inside_itself(ir)


def _made_of(ir: Ir, name: str, path: Path, component: Message) -> Iterator[Finding]:
    how, label = component.WhichOneof("implementation"), component.executor_label
    if how == "executor_label" and label not in ir.executors:
        told = f"`{name}` runs in the executor `{label}`, which does not exist"
        yield Finding(told, path, task_of(ir, name))
    elif how is None and name != ROOT:
        yield Finding(f"`{name}` has neither tasks nor an executor", path, task_of(ir, name))


def _definitions(component: Message, path: Path) -> Iterator[Finding]:
    for side, told in (
        ("inputDefinitions", component.input_definitions),
        ("outputDefinitions", component.output_definitions),
    ):
        for name, definition in told.parameters.items():
            where = (*path, side, "parameters", name)
            if type_name(definition) == _UNTYPED:
                yield Finding(f"the parameter `{name}` has no type", where)
            elif side == "inputDefinitions" and definition.HasField("default_value"):
                why = misfit(definition, definition.default_value)
                yield from [Finding(f"the default of `{name}`: {why}", where)] if why else []


def _inside_itself(ir: Ir) -> Iterator[Finding]:
    """The server would go down without end."""
    below = {dag.name: {t.component_ref.name for t in dag.tasks.values()} for dag in dags(ir)}
    for name in below:
        reached, waiting = set(), list(below[name])
        while waiting:
            one = waiting.pop()
            if one not in reached:
                reached.add(one)
                waiting.extend(below.get(one, ()))
        if name in reached:
            yield Finding(f"`{name}` is a part of itself", ("components", name))
