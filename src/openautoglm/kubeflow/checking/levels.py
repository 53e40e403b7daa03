"""The levels of a pipeline: its own tasks, and those inside a condition, a loop or the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from openautoglm.kubeflow.checking.ir import Ir, Message

ROOT = "root"
Path = tuple[str, ...]


@dataclass(frozen=True)
class Dag:
    """One level of a pipeline: tasks that see one another, and the inputs of all of them.

    Attributes:
        name: Of its component; `root` is the pipeline itself.
        path: Of that component in the IR.
        component: It itself.
        tasks: By name.
        components: Every component of the pipeline.
    """

    name: str
    path: Path
    component: Message
    tasks: Mapping[str, Message]
    components: Mapping[str, Message]

    def called(self, task: str) -> Message | None:
        """The component that a task of this level calls, if there are both."""
        return self.components.get(self.tasks[task].component_ref.name) if self.has(task) else None

    def has(self, task: str) -> bool:
        """Whether it has such a task."""
        return task in self.tasks

    def to(self, task: str, *keys: str) -> Path:
        """The path of a task in the IR, and on from there."""
        return (*self.path, "dag", "tasks", task, *keys)


def parts(ir: Ir) -> Iterator[tuple[str, Path, Message]]:
    """Name, path in the IR and component, of the pipeline itself and of each component."""
    yield ROOT, (ROOT,), ir.spec.root
    for name, component in ir.spec.components.items():
        yield name, ("components", name), component


def dags(ir: Ir) -> Iterator[Dag]:
    """Every level of a pipeline, its own first."""
    components = dict(ir.spec.components)
    for name, path, component in parts(ir):
        if component.WhichOneof("implementation") == "dag":
            yield Dag(name, path, component, dict(component.dag.tasks), components)


def task_of(ir: Ir, component: str) -> str:
    """A task that calls a component, for messages; "" when none does."""
    for dag in dags(ir):
        for name, task in dag.tasks.items():
            if task.component_ref.name == component:
                return name
    return ""


def task_in(ir: Ir, label: str) -> str:
    """A task that runs in an executor, for messages; "" when none does."""
    for name, component in ir.spec.components.items():
        if component.executor_label == label:
            return task_of(ir, name)
    return ""


def is_exit(task: Message) -> bool:
    """Whether a task comes after others whatever became of them."""
    strategy = type(task.trigger_policy).ALL_UPSTREAM_TASKS_COMPLETED
    return bool(task.trigger_policy.strategy == strategy)
