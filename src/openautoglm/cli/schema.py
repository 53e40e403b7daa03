"""`openautoglm schema`: every key there is, for machines and for the reference pages in `docs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from openautoglm.config.params import Params
from openautoglm.config.service import Service
from openautoglm.config.serving import Serving

Node = dict[str, Any]


class Page(StrEnum):
    """What can be asked for."""

    PARAMS = "params"
    SERVING = "serving"
    SERVICE = "service"


_MODELS: dict[Page, type[BaseModel]] = {
    Page.PARAMS: Params,
    Page.SERVING: Serving,
    Page.SERVICE: Service,
}
_PARAMS_HEAD = """\
# params.yaml

How a model is made, key by key. Written by `openautoglm schema --markdown > docs/params.md`; a
test holds it against the code. `openautoglm schema` prints the same as JSON Schema. Unknown keys
are refused, and so is a key that could not matter beside the others.
"""
_SERVING_HEAD = """\
# Serving settings

How a replica serves, key by key: `openautoglm serve --set batching.max_batch_size=64`, or a YAML
file with `--settings FILE`. Written by `openautoglm schema serving --markdown >
docs/serving-settings.md`; a test holds it against the code. Unknown keys are refused.
"""
_SERVICE_HEAD = """\
# config.yaml

How a model is deployed, key by key: `openautoglm deploy -c config.yaml`. Written by `openautoglm
schema service --markdown > docs/service-settings.md`; a test holds it against the code. Unknown
keys are refused, and so is a key that could not matter beside the others.
"""
_HEADS = {Page.PARAMS: _PARAMS_HEAD, Page.SERVING: _SERVING_HEAD, Page.SERVICE: _SERVICE_HEAD}
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


def json_schema(page: Page) -> str:
    """JSON Schema of a file's keys."""
    schema = _MODELS[page].model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def markdown(page: Page) -> str:
    """The page of `docs`: one table a section, with the keys' full names."""
    schema = _MODELS[page].model_json_schema()
    sections = _tables("", schema, schema["$defs"], level=1)
    return "\n".join((_HEADS[page], *sections))


def _section(key: str, model: Node, models: Node, level: int, title: str) -> Iterator[str]:
    """Heading, meaning and table of one model, then the models inside it."""
    yield f"{'#' * level} {title}\n\n{model['description']}\n"
    yield from _tables(f"{key}.", model, models, level)


def _tables(prefix: str, model: Node, models: Node, level: int) -> Iterator[str]:
    properties: Node = model["properties"]
    plain = {name: node for name, node in properties.items() if not _inner(node)}
    rows = [
        _row(f"{prefix}{name}", node, model.get("required", [])) for name, node in plain.items()
    ]
    if rows:
        yield "\n".join((_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *rows)) + "\n"
    for name, node in properties.items():
        for kind, inner in _inner(node).items():
            path = f"{prefix}{name}"
            title = f"{path}, kind: {kind}" if kind else f"{path}{_form(node)}"
            yield from _section(path, models[inner], models, level + 1, title)


def _inner(node: Node) -> dict[str, str]:
    """The models a key holds, by their `kind`; by "" where there is one without a kind."""
    if "discriminator" in node:
        mapping: dict[str, str] = node["discriminator"]["mapping"]
        return {kind: target.rpartition("/")[2] for kind, target in mapping.items()}
    # A section that may be left out, or a list of sections, is written as one.
    parts = [node, node.get("items", {}), *node.get("anyOf", [])]
    models = [_model(part) for part in parts if "$ref" in part]
    return {"": models[0]} if len(models) == 1 and models[0] not in _SHORT else {}


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
        return f"mapping{suffix} of keys to {_takes(node['additionalProperties'])}"
    return _TYPES[node["type"]] + suffix


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line(cells: Any) -> str:
    # A bar inside a cell, even inside backticks, would end it.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
