"""What components and pipelines are given while they are compiled, and where their tasks go."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfp import dsl, kubernetes

from openautoglm.artifacts.code import code_digest
from openautoglm.config.pipelines import PipelineSettings, Place
from openautoglm.errors import ConfigError
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import CODE

_USER = 10001
"""Of the runner image, and the group that the work volume belongs to."""
UNPINNED = "open-autoglm-runner"
"""Image of a task that no pipeline has placed; the checks before submission refuse it."""


@dataclass(frozen=True)
class Building:
    """What a pipeline is compiled with.

    Attributes:
        params: What `params.yaml` holds, as JSON.
        settings: Where its tasks run.
        local: Whether it runs on this machine: then nothing is asked of a cluster.
        places: Task name to the place in the pipeline's source where it was placed, filled
            while the pipeline is compiled.
    """

    params: str
    settings: PipelineSettings
    local: bool = False
    places: dict[str, str] = field(default_factory=dict)


_current: ContextVar[Building] = ContextVar("building")


def building() -> Building:
    """What the pipeline that is being imported is compiled with.

    Raises:
        ConfigError: It is imported by itself.
    """
    try:
        return _current.get()
    except LookupError:
        raise ConfigError(
            "a pipeline is compiled while it is imported, and here nobody said with what",
            hint="openautoglm pipeline compile NAME -o FILE",
        ) from None


@contextmanager
def compiled_with(given: Building) -> Iterator[None]:
    """Give `building()` something to say."""
    token = _current.set(given)
    try:
        yield
    finally:
        _current.reset(token)


component: Callable[[Callable[..., Any]], Any] = functools.partial(
    dsl.component, base_image=UNPINNED, install_kfp_package=False
)
"""Decorates a component: nothing is installed when it starts."""


def place(task: dsl.PipelineTask, name: str, *, looped: bool = False) -> dsl.PipelineTask:
    """Give a task its image, and what it asks of the cluster.

    Args:
        task: The task.
        name: The component, as `tasks` of the settings call it.
        looped: Whether it stands in a ParallelFor, where Kubeflow ignores retries.

    Returns:
        The same task.
    """
    given = building()
    frame = sys._getframe(1)
    file = Path(frame.f_code.co_filename)
    given.places[task.name] = f"{file.parent.name}/{file.name}:{frame.f_lineno}"
    # Kubeflow's cache goes by artifacts' names; ours goes by content, below the component.
    task.set_caching_options(False)
    step = STEPS.get(name.removesuffix("_part"))
    if step is not None:
        task.set_env_variable(CODE, code_digest(step.module))
    if not given.local:
        _on_cluster(task, given.settings, given.settings.place(name), looped)
    return task


def _on_cluster(
    task: dsl.PipelineTask, settings: PipelineSettings, asked: Place, looped: bool
) -> None:
    if settings.image is not None:
        task.set_container_image(settings.image)
    for variable, value in settings.environment.items():
        task.set_env_variable(variable, value)
    retries = settings.retries
    if retries.count and not looped:
        task.set_retry(
            retries.count,
            backoff_duration=f"{retries.seconds}s",
            backoff_factor=retries.factor,
            backoff_max_duration=f"{retries.most_seconds}s",
        )
    _ask(task, asked)
    kubernetes.set_security_context(
        task, run_as_user=_USER, run_as_group=_USER, run_as_non_root=True
    )
    for secret in settings.secrets:
        kubernetes.use_secret_as_env(task, secret.name, secret.variables, optional=secret.optional)
    for volume in settings.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path)


def _ask(task: dsl.PipelineTask, asked: Place) -> None:
    if asked.cpu is not None:
        task.set_cpu_request(asked.cpu)
    if asked.cpu_limit is not None:
        task.set_cpu_limit(asked.cpu_limit)
    if asked.memory is not None:
        task.set_memory_request(asked.memory)
    if asked.memory_limit is not None:
        task.set_memory_limit(asked.memory_limit)
    if asked.accelerator is not None:
        task.set_accelerator_type(asked.accelerator.resource)
        task.set_accelerator_limit(asked.accelerator.count)
    for label, value in asked.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for taint in asked.tolerations:
        kubernetes.add_toleration(
            task, key=taint.key, operator=taint.operator, value=taint.value, effect=taint.effect
        )
