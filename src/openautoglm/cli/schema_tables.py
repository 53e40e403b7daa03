"""A JSON Schema as Markdown: one table a section, with the keys' full names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
_COLUMNS = ("key", "takes", "default", "meaning")
_TYPES = {
    "string": "text",
    "boolean": "true or false",
    "integer": "integer",
    "number": "number",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "{} or more",
    "minProperties": "{} or more",
    "multipleOf": "a multiple of {}",
    "pattern": "`{}`",
}


_SHORT = {
    "Range": "`{low, high}`, with `log: true` to search the logarithm",
    "Choices": "`{choices: [...]}`",
}
"""Small models inside others, as a reader writes them."""


def tables(prefix: str, model: Node, models: Node, level: int) -> Iterator[str]:
    """One table of a model's plain keys, then a section for each model inside it.

    Args:
        prefix: What stands before each key, with its dot.
        model: The model's schema.
        models: Schemas of all models, by name.
        level: Of the heading above; 1 is a page's own.
    """
    properties: Node = model["properties"]
    plain = {name: node for name, node in properties.items() if not _inner(node)}
    rows = [
        _row(f"{prefix}{name}", node, model.get("required", [])) for name, node in plain.items()
    ]
    if rows:
        yield "\n".join((_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *rows)) + "\n"
    for name, node in properties.items():
        for kind, inner in _inner(node).items():
            path = f"{prefix}{name}{_mapped(node)}"
            yield from _section(path, node, models[inner], models, level + 1, kind)


def _section(
    path: str, node: Node, model: Node, models: Node, level: int, kind: str
) -> Iterator[str]:
    """Heading, meaning and table of one model, then the models inside it."""
    title = f"{path}, kind: {kind}" if kind else f"{path}{_form(node)}"
    yield f"{'#' * level} {title}\n\n{model['description']}{_names(node)}\n"
    yield from tables(f"{path}.", model, models, level)


def _inner(node: Node) -> dict[str, str]:
    """The models a key holds, by their `kind`; by "" where there is one without a kind."""
    if "discriminator" in node:
        mapping: dict[str, str] = node["discriminator"]["mapping"]
        return {kind: target.rpartition("/")[2] for kind, target in mapping.items()}
    # A section that may be left out, a list of sections, or some by name, is written as one.
    parts = [node, node.get("items", {}), *node.get("anyOf", []), _value(node)[1]]
    models = [_model(part) for part in parts if "$ref" in part]
    return {"": models[0]} if len(models) == 1 and models[0] not in _SHORT else {}


def _value(node: Node) -> tuple[str, Node]:
    """Pattern of a mapping's keys, empty where there is none, and what it holds."""
    for pattern, value in node.get("patternProperties", {}).items():
        return pattern, value
    value = node.get("additionalProperties", {})
    return "", value if isinstance(value, dict) else {}


def _mapped(node: Node) -> str:
    """What stands for the names of a mapping."""
    return ".NAME" if node.get("type") == "object" else ""


def _names(node: Node) -> str:
    """What a mapping's names are."""
    if not _mapped(node):
        return ""
    pattern, _ = _value(node)
    written = f" NAME is `{pattern}`." if pattern else ""
    return f" A mapping: {node['description']}.{written}"


def _form(node: Node) -> str:
    """What else than one section a key may hold."""
    if node.get("type") == "array":
        return ", a list of one" if node.get("maxItems") == 1 else ", a list"
    return ", or null" if "anyOf" in node else ""


def _model(node: Node) -> str:
    name: str = node["$ref"].rpartition("/")[2]
    return name


def _row(key: str, node: Node, required: list[str]) -> str:
    is_required = key.rpartition(".")[2] in required
    default = "*required*" if is_required else f"`{_plain(node['default'])}`"
    return _line((f"`{key}`", _takes(node), default, node["description"]))


def _takes(node: Node) -> str:
    if "$ref" in node:
        return _SHORT[_model(node)]
    if "anyOf" in node:
        return " or ".join(_takes(part) for part in node["anyOf"])
    if values := node.get("enum") or ([node["const"]] if "const" in node else []):
        return ", ".join(f"`{value}`" for value in values)
    if node.get("format") == "percent":
        return "percentage with its sign, such as `70%` (above `0%`, at most `100%`)"
    bounds = ", ".join(text.format(node[name]) for name, text in _BOUNDS.items() if name in node)
    suffix = f" ({bounds})" if bounds else ""
    if node["type"] == "array":
        return f"list{suffix} of {_takes(node['items'])}"
    if node["type"] == "object":
        return f"mapping{suffix} of {_entries(node)}"
    if node.get("format") == "date-time":
        return "time with its zone, such as `2027-01-01T00:00:00Z`"
    return _TYPES[node["type"]] + suffix


def _entries(node: Node) -> str:
    pattern, value = _value(node)
    keys = f"keys (`{pattern}`)" if pattern else "keys"
    return f"{keys} to {_takes(value) if value else 'values'}"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line(cells: Any) -> str:
    # A bar inside a cell, even inside backticks, would end it.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
