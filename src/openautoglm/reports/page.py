"""Pages that need no other file: one template each, beside this module."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined


def render(template: str, **values: Any) -> str:
    """The text of a template of this package, with its values."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = files("openautoglm.reports").joinpath(template).read_text("utf-8")
    return environment.from_string(source).render(**values)
