"""Names that Kubeflow's server or Argo refuse, and retries that they ignore."""

from __future__ import annotations

import re
from collections.abc import Iterator

from openautoglm.kubeflow.checking.ir import Finding, Ir
from openautoglm.kubeflow.checking.levels import Dag, dags, is_exit

_PIPELINE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TASK = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_LONGEST = 128
_SCHEMA = "2.1.0"


def names(ir: Ir) -> Iterator[Finding]:
    """Names of the pipeline, and of what Argo makes of its tasks."""
    spec = ir.spec
    if spec.schema_version != _SCHEMA:
        told = f"its schema is `{spec.schema_version}`, and the server takes {_SCHEMA} only"
        yield Finding(told, ("schemaVersion",))
    name = spec.pipeline_info.name
    if not _PIPELINE.fullmatch(name) or len(name) > _LONGEST:
        told = f"`{name}` is no name of a pipeline: lower case letters, digits, - and ., at most "
        yield Finding(f"{told}{_LONGEST}, a letter or digit first and last", ("pipelineInfo",))
    for dag in dags(ir):
        for task, given in dag.tasks.items():
            made = [f"{task}-driver", f"{given.component_ref.name}-{task}-iterator"]
            made += [f"exit-hook-{dag.name}-{task}"] if is_exit(given) else []
            long = max(made, key=len)
            if not _TASK.fullmatch(task):
                told = "a task's name has letters, digits and -, and begins with no -"
                yield Finding(told, dag.to(task), task)
            elif len(long) > _LONGEST:
                told = f"its name is too long: `{long}` would have more than {_LONGEST} characters"
                yield Finding(told, dag.to(task), task)


def retries(ir: Ir) -> Iterator[Finding]:
    """Retries that the server ignores (kubeflow/pipelines issue 12389)."""
    levels = {dag.name: dag for dag in dags(ir)}
    for inside in _looped(levels):
        for name, task in levels[inside].tasks.items() if inside in levels else ():
            if task.HasField("retry_policy") and task.retry_policy.max_retry_count:
                told = "the server ignores retries inside a ParallelFor"
                path = levels[inside].to(name, "retryPolicy")
                yield Finding(told, path, name, fatal=False)


def _looped(levels: dict[str, Dag]) -> set[str]:
    """Components that run once for each item, at whatever depth."""
    tasks = [task for dag in levels.values() for task in dag.tasks.values()]
    waiting = [task.component_ref.name for task in tasks if task.WhichOneof("iterator")]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found and name in levels:
            found.add(name)
            waiting.extend(task.component_ref.name for task in levels[name].tasks.values())
    return found
