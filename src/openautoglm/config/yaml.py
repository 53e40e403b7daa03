"""YAML file in, validated model out; errors say which line and which key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from openautoglm.config.problems import refusal, refuse_what_json_cannot_hold
from openautoglm.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
NO_VALUE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What ruamel raises for a scalar that is not what its tag or form says, and for deep nesting."""


class _Constructor(RoundTripConstructor):
    """Tells the line of a value that cannot be had: `2001-99-99`, `!!int x`."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except RecursionError:
            raise
        except NO_VALUE as error:
            raise ConstructorError(None, None, str(error), node.start_mark) from None


def load(path: Path, model: type[M]) -> M:
    """Read `path` and validate it as `model`.

    Raises:
        ConfigError: The file is missing, is no YAML mapping, or has a key or value that is not
            allowed. All problems are listed, each with file, line and key path.
    """
    if not path.exists():
        raise _no_file(path, model)
    return check(read(path), model, path)


def _no_file(path: Path, model: type[BaseModel]) -> ConfigError:
    beside = [one.name for one in path.parent.glob("*.y*ml")]
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.8)
    needed = "; ".join(
        f"`{name}:` {field.description or '...'}"
        for name, field in model.model_fields.items()
        if field.is_required()
    )
    hint = (
        f"did you mean {path.with_name(near[0])}?"
        if near
        else f"write it, with {needed}; or give another: -c FILE"
    )
    return ConfigError("there is no such file", where=str(path), hint=hint)


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
    refuse_what_json_cannot_hold((path, assigned), data)
    try:
        # Through JSON, where pydantic's strict mode still takes a list for a tuple.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise refusal((path, assigned), data, model, error) from None


def read(path: Path) -> Any:
    """Keys and values of a YAML file, which know their lines.

    Raises:
        ConfigError: The file is missing, cannot be read or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path)) from None
    except IsADirectoryError:
        raise ConfigError("found a folder", where=str(path), allowed="a YAML file") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error.reason}", where=str(path)) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Any:
    """Keys and values of a YAML text, which know their lines.

    Args:
        text: The text.
        path: What it is called in messages: a file, or what else it came from.

    Raises:
        ConfigError: It is no YAML, or holds no mapping.
    """
    yaml = YAML(typ="rt")
    yaml.Constructor = _Constructor
    try:
        data = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"not valid YAML: {error.problem or error.context}", where=f"{path}{line}"
        ) from None
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path)) from None
    except RecursionError:
        raise ConfigError(
            "lists or sections too deep inside one another", where=str(path)
        ) from None
    except NO_VALUE as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path)) from None
    if not isinstance(data, Mapping):
        found = {type(None): "nothing", str: "a text"}.get(type(data)) or (
            "a list" if isinstance(data, list) else f"a single value, {data}"
        )
        raise ConfigError(f"expected keys and values, found {found}", where=f"{path}:1")
    return data
