"""Every key of `config.yaml`, found by walking the models, and other values for each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import reduce
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from openautoglm.config.service import Service

Path = tuple[str | int, ...]
EXAMPLE = {
    "name": "clc",
    "model": "models:/clc@champion",
    "replicas": 3,
    "autoscale": {"cpu_threshold": "70%", "min_replicas": 2, "max_replicas": 10},
    "rollout": {"metrics": {"accuracy": {}}},
}


def every_key(model: type[BaseModel] = Service, prefix: Path = ()) -> Iterator[Path]:
    """Where each value stands; there is one task, the first of `pipeline`."""
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        number = (0,) if name == "pipeline" else ()
        for one in inner:
            yield from every_key(one, (*prefix, name, *number))
        if not inner:
            yield (*prefix, name)


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def whole() -> dict[str, Any]:
    """The example with every key written out."""
    return json.loads(Service.model_validate_json(json.dumps(EXAMPLE)).model_dump_json())


def replaced(data: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    reduce(lambda node, part: node[part], path[:-1], changed)[path[-1]] = value
    return changed


def mutated(path: Path) -> Service:
    """The example with another valid value at a key."""
    data = whole()
    found = reduce(lambda node, part: node[part], path, data)
    if path == ("feedback", "enabled"):  # what needs it must go with it
        data["rollout"]["metrics"]["accuracy"] = None
    for value in _others(path, found):
        try:
            return Service.model_validate_json(json.dumps(replaced(data, path, value)))
        except ValidationError:
            continue
    raise AssertionError(f"no other value found for {dotted(path)}")


def _others(path: Path, found: Any) -> Iterator[Any]:
    if isinstance(found, int | float) and not isinstance(found, bool):
        yield from (found + 1, found - 1, found + 1024, found - 1024, found / 2 or 0.1)
    if isinstance(found, bool):
        yield not found
    if found is None:
        yield from (7, "postgresql://localhost/other", "person")
    for annotation in _annotations(path):
        yield from (
            value for value in get_args(annotation) if isinstance(value, str) and value != found
        )
    yield from ("33%", "10.0.0.1", "other", ["a", "b"], [4])


def _annotations(path: Path) -> Iterator[Any]:
    model: Any = Service
    for part in path:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(_models(annotation), None)
    yield annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
