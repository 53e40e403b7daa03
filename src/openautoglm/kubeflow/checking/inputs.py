"""What a task is given, held against where it comes from and against what its component takes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from openautoglm.kubeflow.checking.ir import Finding, Message
from openautoglm.kubeflow.checking.levels import ROOT, Dag, is_exit
from openautoglm.kubeflow.checking.values import connects, misfit, references, type_name

KINDS = ("parameters", "artifacts")
_ANYTHING = "system.Artifact"


def inputs(dag: Dag, name: str) -> Iterator[Finding]:
    """What is wrong with the arguments of a task.

    Args:
        dag: The level that the task is of.
        name: The task.
    """
    task, component = dag.tasks[name], dag.called(name)
    texts = [task.trigger_policy.condition, *_texts(task)]
    used = {one for text in texts for one in references(text)}
    for one in sorted(used - set(task.inputs.parameters)):
        told = f"it refers to the parameter `{one}`, which it is not given"
        yield Finding(told, dag.to(name), name)
    for kind in KINDS:
        for key in getattr(task.inputs, kind):
            for what in _input(dag, name, kind, key):
                yield Finding(what, dag.to(name, "inputs", kind, key), name)
    if component is not None:
        yield from _given(dag, name, component, used)
        yield from _iterator(dag, name, component)


def _input(dag: Dag, name: str, kind: str, key: str) -> Iterator[str]:
    """What is wrong with one argument of a task."""
    given = getattr(dag.tasks[name].inputs, kind)[key]
    component = dag.called(name)
    wanted = getattr(component.input_definitions, kind) if component is not None else {}
    target = wanted.get(key)
    how = given.WhichOneof("kind")
    if how is None:
        yield f"`{key}` is given no value"
    elif how in ("component_input_parameter", "component_input_artifact"):
        source = getattr(given, how)
        found = getattr(dag.component.input_definitions, kind)
        if source not in found:
            where = "the pipeline" if dag.name == ROOT else f"`{dag.name}`"
            yield f"`{key}` is the argument `{source}` of {where}, which has none of that name"
        else:
            yield from _mismatch(kind, key, given, source, found[source], target)
    elif how in ("task_output_parameter", "task_output_artifact"):
        yield from _from_task(dag, kind, key, given, target)
    elif how == "task_final_status":
        if not is_exit(dag.tasks[name]):
            yield f"`{key}` is the end of a task, which only an exit task is told"
    else:
        yield from _constant(key, given.runtime_value, target)


def _from_task(
    dag: Dag, kind: str, key: str, given: Message, target: Message | None
) -> Iterator[str]:
    source = getattr(given, given.WhichOneof("kind"))
    output = source.output_parameter_key if kind == "parameters" else source.output_artifact_key
    if not dag.has(source.producer_task):
        yield f"`{key}` comes from the task `{source.producer_task}`, which does not exist here"
        return
    producer = dag.called(source.producer_task)
    if producer is None:
        return  # the producer has a finding of its own
    outputs = getattr(producer.output_definitions, kind)
    if output not in outputs:
        yield f"`{key}` is the output `{output}` of `{source.producer_task}`, which has none such"
    else:
        yield from _mismatch(kind, key, given, output, outputs[output], target)


def _mismatch(
    kind: str, key: str, given: Message, name: str, source: Message, target: Message | None
) -> Iterator[str]:
    """Whether what is handed over is of the type that is wanted."""
    if target is None:
        return
    if kind == "parameters":
        if not (given.parameter_expression_selector or connects(source, name, target)):
            yield f"`{key}` wants {type_name(target)} and is given {type_name(source)}"
        return
    one, other = source.artifact_type.schema_title, target.artifact_type.schema_title
    if one != other and _ANYTHING not in (one, other):
        yield f"`{key}` wants {other} and is given {one}"
    if source.is_artifact_list != target.is_artifact_list:
        wants = "a list of artifacts" if target.is_artifact_list else "one artifact"
        yield f"`{key}` wants {wants}, and is given the other"


def _constant(key: str, value: Message, target: Message | None) -> Iterator[str]:
    if value.WhichOneof("value") != "constant":
        yield f"`{key}` is given as pipelines of version 1 had it"
    elif target is not None and (why := misfit(target, value.constant)):
        yield f"`{key}`: {why}"


def _given(dag: Dag, name: str, component: Message, used: set[str]) -> Iterator[Finding]:
    """Arguments that are missing, and those that nobody takes."""
    task = dag.tasks[name]
    items = {task.parameter_iterator.item_input, task.artifact_iterator.item_input}
    for kind in KINDS:
        wanted, given = getattr(component.input_definitions, kind), getattr(task.inputs, kind)
        for key, definition in wanted.items():
            optional = definition.is_optional or (
                kind == "parameters" and definition.HasField("default_value")
            )
            if not (optional or key in given or key in items):
                yield Finding(f"`{key}` is required, and not given", dag.to(name, "inputs"), name)
        for key in sorted(set(given) - set(wanted) - used):
            path = dag.to(name, "inputs", kind, key)
            yield Finding(f"`{key}` is given, and nobody takes it", path, name)


def _iterator(dag: Dag, name: str, component: Message) -> Iterator[Finding]:
    task, inputs = dag.tasks[name], component.input_definitions.parameters
    if task.WhichOneof("iterator") == "artifact_iterator":
        yield Finding("the server cannot go over a list of artifacts yet", dag.to(name), name)
    if task.WhichOneof("iterator") != "parameter_iterator":
        return
    path, over = dag.to(name, "parameterIterator"), task.parameter_iterator
    if over.item_input not in inputs:
        told = f"an item is `{over.item_input}`, which `{task.component_ref.name}` does not take"
        yield Finding(told, path, name)
    how = over.items.WhichOneof("kind")
    if how == "raw":
        try:
            whole = isinstance(json.loads(over.items.raw), list)
        except ValueError:
            whole = False
        if not whole:
            yield Finding("what it goes over is no list", path, name)
    elif how is None or over.items.input_parameter not in task.inputs.parameters:
        told = f"it goes over `{over.items.input_parameter}`, which it is not given"
        yield Finding(told, path, name)


def _texts(task: Message) -> Iterator[str]:
    for given in task.inputs.parameters.values():
        if given.WhichOneof("kind") == "runtime_value":
            yield given.runtime_value.constant.string_value
