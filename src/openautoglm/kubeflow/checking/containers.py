"""What tasks run in, and what they ask of the cluster: images, variables, resources, volumes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from openautoglm.config.pipelines import PINNED
from openautoglm.config.quantities import cores, memory
from openautoglm.kubeflow.checking.ir import PLATFORM, Finding, Ir, Message
from openautoglm.kubeflow.checking.levels import task_in

_CLUSTERS_OWN = ("argostub/createpvc", "argostub/deletepvc")
"""No images: Kubeflow's server takes these names as orders to itself."""
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SUCH = {"cpu": "500m or 2", "memory": "512Mi or 2Gi"}


def containers(ir: Ir) -> Iterator[Finding]:
    """Images, variables and resources."""
    for label, executor in ir.executors.items():
        path, task = ("deploymentSpec", "executors", label), task_in(ir, label)
        how = executor.WhichOneof("spec")
        if how == "container":
            for what, *keys in _container(executor.container):
                yield Finding(what, (*path, "container", *keys), task)
        elif how != "importer":
            yield Finding("the server runs containers and importers only", path, task)


def _container(container: Message) -> Iterator[tuple[str, ...]]:
    image = container.image
    if image not in _CLUSTERS_OWN and not PINNED.fullmatch(image):
        yield f"its image `{image}` is not pinned: NAME@sha256:<64 hex digits>", "image"
    for name, count in Counter(one.name for one in container.env).items():
        if not _VARIABLE.fullmatch(name):
            yield f"`{name}` is no name of an environment variable", "env"
        if count > 1:
            yield f"the environment variable `{name}` is set twice", "env"
    yield from _resources(container.resources)


def _resources(asked: Message) -> Iterator[tuple[str, ...]]:
    for name, size in (("cpu", cores), ("memory", memory)):
        least, most = (
            getattr(asked, f"resource_{name}_{end}") or _number(getattr(asked, f"{name}_{end}"))
            for end in ("request", "limit")
        )
        sizes = []
        for given in (least, most):
            found = _size(given, size)
            if found is None:
                yield f"`{given}` is no amount of {name}, such as {_SUCH[name]}", "resources"
            sizes.append(found)
        if None not in sizes and least and most and _whole(sizes[0]) > _whole(sizes[1]):
            yield f"it asks for more {name} ({least}) than its limit ({most})", "resources"
    kind = asked.accelerator.resource_type or asked.accelerator.type
    count = asked.accelerator.resource_count or _number(asked.accelerator.count)
    if bool(kind) != bool(count):
        yield "accelerators need both a type and a count", "resources", "accelerator"
    elif count and "{{" not in count and not (count.isdecimal() and int(count)):
        yield f"`{count}` is no count of accelerators", "resources", "accelerator"


def _size(given: str, size: Callable[[str], float]) -> float | None:
    """An amount; 0 where nothing is said, or only the run will tell; None where it is none."""
    if not given or "{{" in given:
        return 0.0
    try:
        found = size(given)
    except (KeyError, ValueError):
        return None
    return found if 0 < found < float("inf") else None


def _whole(found: float | None) -> float:
    return found or 0.0


def _number(given: float) -> str:
    return f"{given:g}" if given else ""


def platform(ir: Ir) -> Iterator[Finding]:
    """What is asked of Kubernetes: for an executor that exists, by names that can be."""
    for label, config in ir.kubernetes.items():
        path = ("platforms", PLATFORM, "deploymentSpec", "executors", label)
        if label not in ir.executors:
            yield Finding(f"it is about the executor `{label}`, which does not exist", path)
            continue
        own = {one.name for one in ir.executors[label].container.env}
        for what in (*_objects(config), *_mounts(config), *_variables(config, own)):
            yield Finding(what, path, task_in(ir, label))


def _objects(config: Message) -> Iterator[str]:
    named = [("secret", one.secret_name) for one in config.secret_as_env]
    named += [("secret", one.secret_name) for one in config.secret_as_volume]
    named += [("claim", one.constant) for one in config.pvc_mount]
    for what, name in named:
        if name and not _OBJECT.fullmatch(name):  # without one, the run will tell
            yield f"`{name}` is no name of a {what}"


def _mounts(config: Message) -> Iterator[str]:
    places = Counter(one.mount_path for one in (*config.pvc_mount, *config.secret_as_volume))
    for place, count in places.items():
        if not place.startswith("/"):
            yield f"it mounts at `{place}`, which is no absolute path"
        if count > 1:
            yield f"two volumes are mounted at `{place}`"


def _variables(config: Message, own: set[str]) -> Iterator[str]:
    given = Counter(pair.env_var for one in config.secret_as_env for pair in one.key_to_env)
    for name, count in given.items():
        if count > 1 or name in own:
            yield f"the environment variable `{name}` is set twice"
