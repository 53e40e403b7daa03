"""What is wrong in a configuration, where, what is allowed, and the nearest key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from openautoglm.config.wording import allowed
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


def refusal(
    source: Source, data: Any, model: type[BaseModel], found: ValidationError
) -> ConfigError:
    """All of pydantic's complaints as an error of ours, each with where and what is allowed.

    Args:
        source: Where the keys come from.
        data: The keys and values, which know their lines.
        model: What they must be.
        found: The complaints.
    """
    # A mistyped key is both unknown and missing; the unknown one is what to mend.
    entries = sorted(found.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
    located = [(_location(data, entry), entry) for entry in entries]
    # pydantic does not count values that are wrong, and calls their list too short.
    outer = {place[:length] for place, _ in located for length in range(len(place))}
    problems = [
        _describe(source, data, model, place, entry)
        for place, entry in located
        if not (entry["type"] == "too_short" and place in outer)
    ]
    texts = list(dict.fromkeys(map(str, problems)))  # branches of a union complain alike
    return ConfigError("\nalso: ".join(texts)) if len(texts) > 1 else problems[0]


def _location(data: Any, entry: Mapping[str, Any]) -> Location:
    # pydantic adds the tag of a union's branch to the location; the file has no such key.
    # A missing key is not in the file; neither is `1` as the text that JSON makes of it.
    names_a_key = entry["type"] in ("missing", "extra_forbidden")
    return _in_file(data, tuple(entry["loc"]), names_a_key=names_a_key)


def _describe(
    source: Source,
    data: Any,
    model: type[BaseModel],
    location: Location,
    entry: Mapping[str, Any],
) -> ConfigError:
    kind, where = entry["type"], _where(source, data, location)
    fields = _fields_at(model, data, location[:-1])
    if kind == "extra_forbidden":
        siblings = sorted(fields)
        near = difflib.get_close_matches(str(location[-1]), siblings, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else None
        return ConfigError(
            f"unknown key `{location[-1]}`", where=where, allowed=", ".join(siblings), hint=hint
        )
    field = fields.get(str(location[-1])) if location else None
    means = field.description if field else None
    if kind == "missing":
        told = f"{location[-1]}: {means}" if means else None
        return ConfigError(f"the key `{location[-1]}` is missing", where=where, allowed=told)
    if kind == "value_error":
        message = str(entry["msg"]).removeprefix("Value error, ")
        return ConfigError(message, where=_where(source, data, _named(message, data, location)))
    words = allowed(entry)
    if entry.get("input") is None:
        told = f"{words} ({means})" if means else words
        optional = field is not None and not field.is_required()
        hint = f"leave `{location[-1]}` out for its default" if optional else None
        return ConfigError("found nothing", where=where, allowed=told, hint=hint)
    found = json.dumps(entry["input"], ensure_ascii=False, default=str)
    if len(found) > 80:
        found = found[:77] + "..."
    return ConfigError(f"found {found}", where=where, allowed=words)


def _named(message: str, data: Any, location: Location) -> Location:
    """What a message of ours is about: a key in a section, or one of several sections."""
    if location:
        return (*location, *_key_in(message, data, location))
    # What several sections disagree about names its key first.
    named = tuple(message.split(maxsplit=1)[0].rstrip(":").split("."))
    return named if named[0] in data else ()


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


def _fields_at(model: type[BaseModel], data: Any, location: Location) -> dict[str, FieldInfo]:
    """The keys allowed at a location: fields of the model found by walking the annotations."""
    models: list[type[BaseModel]] = [model]
    node: Any = data
    for part in location:
        node = node[part]
        if isinstance(part, int):  # a place in a list holds what the list's annotation says
            continue
        if not any(part in m.model_fields for m in models):  # a name of one's own, as in `tasks`
            continue
        annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        models = [m for annotation in annotations for m in _models_in(annotation)]
    if isinstance(node, Mapping) and len(models) > 1:
        tagged = [m for m in models if _tag(m) in (None, node.get("kind"))]
        models = tagged or models
    return {name: field for m in models for name, field in m.model_fields.items()}


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models_in(part)]
