"""YAML file in, validated model out; errors say which line and which key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from openautoglm.errors import ConfigError

Location = tuple[str | int, ...]
Source = tuple[Path | None, frozenset[str]]
"""The file, and the keys that the command line set instead."""
M = TypeVar("M", bound=BaseModel)


def load(path: Path, model: type[M]) -> M:
    """Read `path` and validate it as `model`.

    Raises:
        ConfigError: The file is missing, is no YAML mapping, or has a key or value that is not
            allowed. All problems are listed, each with file, line and key path.
    """
    return check(read(path), model, path)


def check(
    data: Any, model: type[M], path: Path | None, assigned: frozenset[str] = frozenset()
) -> M:
    """Validate what a file holds.

    Args:
        data: Keys and values as `read` gives them, which know their lines.
        model: What they must be.
        path: The file; None when there is none.
        assigned: Dotted keys that the command line set.

    Raises:
        ConfigError: As `load`.
    """
    try:
        # Through JSON, where pydantic's strict mode still takes a list for a tuple.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        # A mistyped key is both unknown and missing; the unknown one is what to mend.
        entries = sorted(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
        problems = [_describe((path, assigned), data, model, entry) for entry in entries]
        first, rest = problems[0], problems[1:]
        if rest:
            more = "; ".join(f"{p.what} ({p.where})" for p in rest)
            first = ConfigError(
                f"{first.what}; also: {more}",
                where=first.where,
                allowed=first.allowed,
                hint=first.hint,
            )
        raise first from None


def read(path: Path) -> Any:
    """Keys and values of a YAML file, which know their lines.

    Raises:
        ConfigError: The file is missing or holds no mapping.
    """
    try:
        data = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error.reason}", where=str(path)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"not valid YAML: {error.problem or error.context}", where=f"{path}{line}"
        ) from None
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path)) from None
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"expected keys and values, found {type(data).__name__}", where=f"{path}:1"
        )
    return data


def _describe(
    source: Source, data: Any, model: type[BaseModel], entry: Mapping[str, Any]
) -> ConfigError:
    # pydantic adds the tag of a union's branch to the location; the file has no such key.
    location = _in_file(data, tuple(entry["loc"]), missing=entry["type"] == "missing")
    key = ".".join(str(part) for part in location)
    where = _where(source, data, location)
    kind = entry["type"]
    if kind == "extra_forbidden":
        siblings = _keys_at(model, data, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), siblings, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else None
        return ConfigError(
            f"unknown key `{location[-1]}`", where=where, allowed=", ".join(siblings), hint=hint
        )
    if kind == "missing":
        return ConfigError(f"the key `{location[-1]}` is missing", where=where)
    found = json.dumps(entry.get("input"), ensure_ascii=False, default=str)
    if len(found) > 80:
        found = found[:77] + "..."
    message = str(entry["msg"])
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        # What several sections disagree about names its key first.
        named = tuple(message.split(maxsplit=1)[0].rstrip(":").split("."))
        if not key and named[0] in data:
            where = _where(source, data, named)
        return ConfigError(message, where=where)
    return ConfigError(f"found {found}", where=where, allowed=message[0].lower() + message[1:])


def _where(source: Source, data: Any, location: Location) -> str:
    path, assigned = source
    key = ".".join(str(part) for part in location)
    if path is None or any(f"{key}.".startswith(f"{each}.") for each in assigned):
        return f"--set {key}"
    line = _line(data, location)
    return f"{path}:{line}, key {key}" if key else f"{path}:{line}"


def _in_file(data: Any, location: Location, *, missing: bool) -> Location:
    kept: list[str | int] = []
    node = data
    for position, part in enumerate(location):
        last = position == len(location) - 1
        in_list = isinstance(node, Sequence) and isinstance(part, int) and part < len(node)
        if in_list or (isinstance(node, Mapping) and part in node):
            node = node[part]
        elif not (last and missing):
            continue
        kept.append(part)
    return tuple(kept)


def _line(data: Any, location: Location) -> int:
    node: Any = data
    line = 1
    for part in location:
        marks = getattr(node, "lc", None)  # only mappings and lists carry their lines
        if marks is None:
            break
        try:
            position = marks.key(part) if isinstance(node, Mapping) else marks.item(part)
            node = node[part]
        except (KeyError, IndexError, TypeError):
            break
        line = position[0] + 1
    return line


def _keys_at(model: type[BaseModel], data: Any, location: Location) -> list[str]:
    """The keys allowed at a location: fields of the model found by walking the annotations."""
    models: list[type[BaseModel]] = [model]
    node = data
    for part in location:
        annotations = [
            m.model_fields[str(part)].annotation for m in models if str(part) in m.model_fields
        ]
        models = [m for annotation in annotations for m in _models_in(annotation)]
        node = node[part] if isinstance(node, Mapping) else None
    if isinstance(node, Mapping) and len(models) > 1:
        tagged = [m for m in models if _tag(m) in (None, node.get("kind"))]
        models = tagged or models
    return sorted({name for m in models for name in m.model_fields})


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models_in(part)]
