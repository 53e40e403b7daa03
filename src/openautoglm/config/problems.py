"""What is wrong in a configuration, where, what is allowed, and the nearest key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from openautoglm.errors import ConfigError

Location = tuple[str | int, ...]
Source = tuple[Path | None, frozenset[str]]
"""The file, and the keys that the command line set instead."""
_DEEPEST = 32
_LONGEST_NUMBER = 256  # bits


def refuse_what_json_cannot_hold(source: Source, data: Any) -> None:
    """See that keys and values of a file can be handed on as JSON.

    Raises:
        ConfigError: A key or a value cannot, or lists and sections lie too deep in one another.
    """
    waiting: list[tuple[Location, Any]] = [((), data)]
    while waiting:
        location, node = waiting.pop()
        inner: list[tuple[Any, Any]] = []
        if isinstance(node, Mapping):
            inner = list(node.items())
        elif isinstance(node, list | tuple):
            inner = list(enumerate(node))
        what = _fault(node)
        if inner and len(location) == _DEEPEST:  # also what an alias puts inside itself
            what, location = f"more than {_DEEPEST} lists or sections in one another", location[:2]
        elif not all(isinstance(key, str | int | float | None) for key, _ in inner):
            what = "a key that is a list, a section or a date"
        elif any(_fault(key) for key, _ in inner):
            what = "a key that is too long a number or no Unicode text"
        if what:
            raise ConfigError(f"found {what}", where=_where(source, data, location))
        waiting.extend(((*location, key), value) for key, value in inner)


def _fault(value: Any) -> str | None:
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return "a number of too many digits"
    if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        return "text that is no Unicode: half of a pair of surrogates"
    return None


def describe(
    source: Source, data: Any, model: type[BaseModel], entry: Mapping[str, Any]
) -> ConfigError:
    """One of pydantic's complaints as an error of ours.

    Args:
        source: Where the keys come from.
        data: The keys and values, which know their lines.
        model: What they must be.
        entry: An entry of `ValidationError.errors()`.
    """
    # pydantic adds the tag of a union's branch to the location; the file has no such key.
    kind = entry["type"]
    # A missing key is not in the file; neither is `1` as the text that JSON makes of it.
    location = _in_file(
        data, tuple(entry["loc"]), names_a_key=kind in ("missing", "extra_forbidden")
    )
    key = ".".join(str(part) for part in location)
    where = _where(source, data, location)
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
        elif key:
            where = _where(source, data, (*location, *_key_in(message, data, location)))
        return ConfigError(message, where=where)
    return ConfigError(f"found {found}", where=where, allowed=message[0].lower() + message[1:])


def _key_in(message: str, data: Any, location: Location) -> Location:
    """The first key of a section that a message has in backticks, if the section holds it."""
    for part in location:
        data = data[part]
    named = re.findall(r"`(\w+)`", message) if isinstance(data, Mapping) else []
    return tuple(name for name in named if name in data)[:1]


def _where(source: Source, data: Any, location: Location) -> str:
    path, assigned = source
    key = ".".join(str(part) for part in location)
    if path is None or any(f"{key}.".startswith(f"{each}.") for each in assigned):
        return f"--set {key}"
    line = _line(data, location)
    return f"{path}:{line}, key {key}" if key else f"{path}:{line}"


def _in_file(data: Any, location: Location, *, names_a_key: bool) -> Location:
    kept: list[str | int] = []
    node = data
    for position, part in enumerate(location):
        last = position == len(location) - 1
        in_list = isinstance(node, Sequence) and isinstance(part, int) and part < len(node)
        if in_list or (isinstance(node, Mapping) and part in node):
            node = node[part]
        elif not (last and names_a_key):
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
            line = position[0] + 1
        except (KeyError, IndexError, TypeError):  # `!!omap` has no lines for its keys
            break
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
