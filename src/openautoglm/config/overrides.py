"""`--set key.path=value` on a command line, over a file or over the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from openautoglm.config.yaml import NO_VALUE, check, read
from openautoglm.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def load_with(file: Path | None, given: Sequence[str], model: type[M]) -> M:
    """A model from a file and assignments; later ones win.

    Args:
        file: YAML; None begins with the model's defaults.
        given: `key.path=value`, each value as YAML has it.
        model: What it must be.

    Raises:
        ConfigError: A key or value is not allowed; the message names the file's line or the
            assignment.
    """
    data = read(file) if file else {}
    for assignment in given:
        key, found, text = assignment.partition("=")
        if not (key and found):
            raise ConfigError(f"found `{assignment}`", where="--set", allowed="key.path=value")
        _place(data, key.split("."), _value(key, text), key)
    keys = {assignment.partition("=")[0] for assignment in given}
    return check(data, model, file, frozenset(keys))


def _value(key: str, text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, *NO_VALUE):
        found = text if len(text) <= 80 else text[:77] + "..."
        raise ConfigError(f"found `{found}`", where=f"--set {key}", allowed="a value") from None


def _place(data: Any, path: Sequence[str], value: Any, key: str) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise ConfigError(f"`{part}` is a value, not a section", where=f"--set {key}")
    data[path[-1]] = value
