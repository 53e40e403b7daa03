"""One line of `openautoglm doctor`."""

from __future__ import annotations

from typing import Literal, NamedTuple

from openautoglm.errors import InputError

Level = Literal["ok", "note", "short", "broken"]


class Check(NamedTuple):
    """One line: `short` is less than the profile asks for, `broken` stops work."""

    name: str
    level: Level
    found: str
    advice: str = ""


def told(error: InputError) -> str:
    """An error in one line."""
    return f"{error.what}: {error.where}" if error.where else error.what
