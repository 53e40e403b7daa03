"""Percentages as people write them: `70%`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _percent(found: Any) -> Any:
    """`70%` as YAML has it, a text, becomes 70.0."""
    match = _PERCENT.fullmatch(found.strip()) if isinstance(found, str) else None
    if match:
        return float(match[1])
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 < found <= 100:
        # Whoever writes a bare 0.7 means a share, and 70 means percent; we do not guess.
        meant = _told(found if found > 1 else 100 * found)
        raise ValueError(f"found {found}, which has no percent sign: write {meant}")
    raise ValueError(f"found {found!r}, which is no percentage such as 70%")


def _told(percent: float) -> str:
    """As short as it can be read back, without an exponent."""
    return f"{Decimal(repr(percent)):f}".removesuffix(".0") + "%"


Percent = Annotated[
    float,
    Field(gt=0, le=100),
    BeforeValidator(_percent),
    PlainSerializer(_told, return_type=str),
    WithJsonSchema({"type": "string", "format": "percent", "pattern": f"^{_PERCENT.pattern}$"}),
]
