"""Whether a value fits the type of a parameter, and where a text refers to parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

from openautoglm.kubeflow.checking.ir import Message

_KINDS = {
    "NUMBER_DOUBLE": "number_value",
    "NUMBER_INTEGER": "number_value",
    "STRING": "string_value",
    "BOOLEAN": "bool_value",
    "LIST": "list_value",
    "STRUCT": "struct_value",
}
_WORDS = {
    "number_value": "a number",
    "string_value": "a text",
    "bool_value": "true or false",
    "list_value": "a list",
    "struct_value": "a mapping",
    "null_value": "null",
}
_UNQUOTED = "; if it is a text such as 1e3: it is written without quotes, and read as a number"
_REFERENCE = re.compile(r"inputs\.parameter(?:s|_values)\[['\"]([^'\"]+)['\"]\]")
LOOP_ITEM = "loop-item"
"""Kubeflow calls the type of an item a text where nobody has said what a list holds."""


def type_name(definition: Message) -> str:
    """`STRING`, `NUMBER_INTEGER`, ... of a parameter's definition."""
    found: str = ParameterType.ParameterTypeEnum.Name(definition.parameter_type)
    return found


def misfit(definition: Message, value: Message) -> str | None:
    """Why a value does not fit a parameter, or None.

    Args:
        definition: Of the parameter.
        value: A `google.protobuf.Value`.
    """
    wanted, kind = type_name(definition), value.WhichOneof("kind")
    if wanted in _KINDS and kind != _KINDS[wanted]:
        told = f"{_WORDS.get(kind, 'nothing')} does not fit {wanted}"
        return told + (_UNQUOTED if (wanted, kind) == ("STRING", "number_value") else "")
    if wanted == "NUMBER_INTEGER" and not float(value.number_value).is_integer():
        return f"{value.number_value:g} is no whole number"
    literals = list(definition.literals)
    if literals and value not in literals:
        return "it is none of the values that are allowed"
    return None


def connects(source: Message, name: str, target: Message) -> bool:
    """Whether what one parameter holds may be given to another.

    Args:
        source: Definition of where it comes from.
        name: What that is called.
        target: Definition of where it goes.
    """
    one, other = type_name(source), type_name(target)
    return one == other or LOOP_ITEM in name or (one, other) == ("NUMBER_INTEGER", "NUMBER_DOUBLE")


def references(text: str) -> Iterator[str]:
    """Parameters that a condition, or a text with placeholders, is about."""
    yield from _REFERENCE.findall(text)
