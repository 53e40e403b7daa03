"""Whether a request's body is what the v2beta1 API takes: the generated models, used strictly."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import kfp_server_api


class RefusalError(Exception):
    """An answer that is no success: HTTP status, gRPC code, and what the server says."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def invalid(message: str) -> RefusalError:
    return RefusalError(400, 3, f"Invalid input error: {message}")


def body_of(model: str, data: Any, required: tuple[str, ...], output: tuple[str, ...]) -> dict:
    """The body, checked.

    Args:
        model: Name of the generated model.
        data: What came.
        required: Keys that the server cannot do without.
        output: Keys that only the server may set.
    """
    _check(model, data, model)
    for key in required:
        if not data.get(key):
            raise invalid(f"{model}: {key} is empty. Please specify a valid value")
    for key in output:
        if key in data:
            raise invalid(f"{model}: {key} is set by the server")
    return data


def check_answer(model: str, data: Any) -> None:
    """See that our own answer is what the API answers."""
    try:
        _check(model, data, model)
    except RefusalError as error:
        raise AssertionError(str(error)) from error


def _check(kind: str, value: Any, where: str) -> None:
    if found := re.fullmatch(r"list\[(.*)\]", kind):
        _is(list, value, where)
        for one in value:
            _check(found[1], one, where)
    elif found := re.fullmatch(r"dict\(str, (.*)\)", kind):
        _is(dict, value, where)
        for key, one in value.items():
            _check(found[1], one, f"{where}.{key}")
    elif kind in ("str", "bool", "int"):
        _is({"str": str, "bool": bool, "int": int}[kind], value, where)
    elif kind == "datetime":
        _is(str, value, where)
        try:
            aware = datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            raise invalid(f"{where}: {value} is no timestamp of RFC 3339")
    elif kind != "object":
        _check_model(getattr(kfp_server_api, kind), value, where)


def _check_model(model: Any, value: Any, where: str) -> None:
    if values := getattr(model, "allowable_values", None):
        if value not in values:
            raise invalid(f"{where}: unknown value {value!r}")
        return
    _is(dict, value, where)
    attributes = {key: name for name, key in model.attribute_map.items()}
    for key, one in value.items():
        if key not in attributes:
            raise invalid(f'proto: {where}: unknown field "{key}"')
        _check(model.openapi_types[attributes[key]], one, f"{where}.{key}")


def _is(kind: type, value: Any, where: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise invalid(f"{where}: {value!r} is no {kind.__name__}")
