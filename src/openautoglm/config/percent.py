"""Percentages as people write them: `70%`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _percent(found: Any) -> Any:
    """`70%` as YAML has it, a text, becomes 70.0."""
    match = _PERCENT.fullmatch(found.strip()) if isinstance(found, str) else None
    if match:
        return _within(100, float(match[1]), found)
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 < found <= 100:
        # Whoever writes a bare 0.7 means a share, and 70 means percent; we do not guess.
        meant = _told(found if found > 1 else 100 * found)
        raise ValueError(f"found {found}, which has no percent sign: write {meant}")
    told = "nothing" if found is None else repr(found)
    raise ValueError(f"found {told}, which is no percentage such as 70%")


def _within(most: float, percent: float, written: str) -> float:
    """In the words of whoever wrote it: pydantic's own bounds know only the number."""
    if not 0 < percent <= most:
        shown = written if len(written) <= 40 else written[:37] + "..."
        raise ValueError(f"found {shown}, allowed: above 0% and at most {_told(most)}")
    return percent


def _told(percent: float) -> str:
    """As short as it can be read back, without an exponent."""
    return f"{Decimal(repr(percent)):f}".removesuffix(".0") + "%"


Percent = Annotated[
    float,
    BeforeValidator(_percent),
    PlainSerializer(_told, return_type=str),
    WithJsonSchema({"type": "string", "format": "percent", "pattern": f"^{_PERCENT.pattern}$"}),
]


def at_most(most: float) -> AfterValidator:
    """A closer bound than 100, in percent."""
    return AfterValidator(lambda percent: _within(most, percent, _told(percent)))
