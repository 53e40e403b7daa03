"""Arguments of a pipeline: do they fit what it takes? Asked before anything is run or sent."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from openautoglm.config.yaml import NO_VALUE
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.compiling import Compiled

_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "STRING": ("a text", (str,)),
    "NUMBER_INTEGER": ("a whole number", (int,)),
    "NUMBER_DOUBLE": ("a number", (int, float)),
    "BOOLEAN": ("true or false", (bool,)),
    "LIST": ("a list", (list,)),
    "STRUCT": ("keys and values", (dict,)),
}
Inputs = Mapping[str, Mapping[str, Any]]
"""Name of an argument to its `parameterType`, `defaultValue`, `isOptional` and `literals`."""


def inputs_of(compiled: Compiled) -> Inputs:
    """The arguments that a compiled pipeline takes."""
    # Two documents where tasks have secrets or volumes; the pipeline is the first.
    spec = next(iter(YAML(typ="safe").load_all(compiled.text)))
    return _parameters(spec["root"])


def inputs_in(spec: Any) -> Inputs:
    """The arguments that a pipeline takes.

    Args:
        spec: Its `PipelineSpec`, as kfp has it in memory.
    """
    return _parameters(json_format.MessageToDict(spec.root))


def _parameters(root: Mapping[str, Any]) -> Inputs:
    found: Inputs = root.get("inputDefinitions", {}).get("parameters", {})
    return found


def read_arguments(given: Sequence[str], inputs: Inputs) -> dict[str, Any]:
    """Arguments of a command line, `name=value`, each value as its type has it.

    Args:
        given: The assignments; later ones win.
        inputs: What the pipeline takes: a text stays as it was typed, all else is YAML.

    Raises:
        ConfigError: One is no assignment, or its value cannot be read.
    """
    found: dict[str, Any] = {}
    for one in given:
        name, separator, text = one.partition("=")
        if not (name and separator):
            raise ConfigError(f"found `{one}`", where="--argument", allowed="name=value")
        kind = inputs.get(name, {}).get("parameterType")
        found[name] = text if kind == "STRING" else _yaml(name, text)
    return found


def _yaml(name: str, text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, *NO_VALUE):
        raise ConfigError(
            f"found `{text[:80]}`", where=f"--argument {name}", allowed="a value as YAML has it"
        ) from None


def check_arguments(
    pipeline: str, inputs: Inputs, given: Mapping[str, Any], where: Callable[[str], str]
) -> None:
    """See that a pipeline can be called with arguments.

    Args:
        pipeline: Its name, for messages.
        inputs: What it takes.
        given: What it is given.
        where: From an argument's name to where it was given.

    Raises:
        ConfigError: It takes no argument of a name, a value is of another type, or one that it
            needs is not given.
    """
    for name, value in given.items():
        if name not in inputs:
            near = difflib.get_close_matches(name, inputs, n=1)
            raise ConfigError(
                f"pipeline {pipeline} takes no argument `{name}`",
                where=where(name),
                allowed=", ".join(sorted(inputs)) or "none",
                hint=f"did you mean `{near[0]}`?" if near else None,
            )
        _check(inputs[name], value, where(name))
    for name, one in inputs.items():
        if name not in given and "defaultValue" not in one and not one.get("isOptional"):
            raise ConfigError(
                f"pipeline {pipeline} needs the argument `{name}`",
                where=where(name),
                allowed=_TYPES[one["parameterType"]][0],
            )


def _check(taken: Mapping[str, Any], value: Any, where: str) -> None:
    words, types = _TYPES[taken["parameterType"]]
    literals = taken.get("literals")
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if fits and (not literals or value in literals):
        return
    text = json.dumps(value, ensure_ascii=False, default=str)
    raise ConfigError(
        f"found {text if len(text) <= 80 else text[:77] + '...'}",
        where=where,
        allowed=" or ".join(map(str, literals)) if literals else words,
        hint=f'in quotes it is a text: "{text}"' if types == (str,) else None,
    )
