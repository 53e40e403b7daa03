"""What pydantic would have taken, in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WORDS = {
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "finite_number": "a number that is not infinite",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "keys and values",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_long": "a text of {max_length} or fewer characters",
    "string_too_short": "a text of {min_length} or more characters",
    "string_type": "a text",
    "too_long": "a list of {max_length} or fewer",
    "too_short": "a list of {min_length} or more",
    "tuple_type": "a list",
    "union_tag_invalid": "{discriminator}: {expected_tags}",
    "union_tag_not_found": "keys and values, {discriminator} among them",
}
_CHARACTERS = {
    "A-Z": "capital letters",
    "a-z": "small letters",
    "0-9": "digits",
    "_": "underscores",
    "-": "dashes",
}
_PROBED = 256  # characters; no name is longer


def allowed(entry: Mapping[str, Any]) -> str:
    """What would have been taken instead.

    Args:
        entry: An entry of `ValidationError.errors()`.
    """
    kind, context = str(entry["type"]), entry.get("ctx", {})
    if kind == "string_pattern_mismatch" and (told := _pattern(str(context["pattern"]))):
        return told
    if kind in _WORDS:
        return _WORDS[kind].format_map({name: _plain(value) for name, value in context.items()})
    message = str(entry["msg"]).removeprefix("Input should be ")
    return message[:1].lower() + message[1:]


def _plain(value: Any) -> str:
    """A bound or a name without Python's quotes and point."""
    return str(value).replace("'", "").removesuffix(".0")


def _pattern(pattern: str) -> str | None:
    """A pattern that only says which characters a name is made of; None for another one."""
    classes = re.findall(r"\[([A-Za-z0-9_-]+)\]", pattern)
    if re.search(r"[^\^$(){}?*+,0-9]", re.sub(r"\[[A-Za-z0-9_-]+\]", "", pattern)):
        return None
    known = dict.fromkeys(part for one in classes for part in re.findall(r"\w-\w|.", one))
    if not known or not known.keys() <= _CHARACTERS.keys():
        return None
    *most, last = [_CHARACTERS[part] for part in known]
    told = f"{', '.join(most)} and {last}" if most else last
    letter = next(iter(known))[0]
    longest = max((n for n in range(_PROBED) if re.search(pattern, letter * n)), default=0)
    if longest < _PROBED - 1:
        told = f"up to {longest} {told}"
    if "-" in known and not re.search(pattern, f"-{letter}"):
        told += ", no dash first or last"
    return told
