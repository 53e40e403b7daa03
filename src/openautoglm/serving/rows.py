"""Rows as a client sent them, checked and in the form the model takes."""

from __future__ import annotations

import math

from openautoglm.config.serving import Limits
from openautoglm.serving.refusals import INVALID, TOO_LARGE, Refusal


def check_texts(values: object, limits: Limits, *, where: str) -> list[str]:
    """Texts, as they were sent: they are normalised with their batch.

    Args:
        values: What stands at `where`: a list of strings.
        limits: Bounds on rows and characters.
        where: Its name in the request, for messages.

    Raises:
        Refusal: INVALID or TOO_LARGE.
    """
    rows = _rows(values, limits, where, "a list of strings")
    return [check_text(row, limits, where=f"{where}[{place}]") for place, row in enumerate(rows)]


def check_text(value: object, limits: Limits, *, where: str) -> str:
    """One text; arguments and errors as above."""
    if type(value) is not str:
        raise Refusal(INVALID, f"found {_kind(value)}", where=where, allowed="a string")
    if len(value) > limits.text_characters:
        raise Refusal(
            TOO_LARGE,
            f"found {len(value)} characters",
            where=where,
            allowed=f"at most {limits.text_characters}",
        )
    return value


def check_features(values: object, width: int, limits: Limits, *, where: str) -> list[list[float]]:
    """Rows of `width` finite numbers that float32 can hold; arguments and errors as above."""
    rows = _rows(values, limits, where, f"a list of rows of {width} numbers")
    return [
        check_features_row(row, width, where=f"{where}[{place}]") for place, row in enumerate(rows)
    ]


def check_features_row(value: object, width: int, *, where: str) -> list[float]:
    """One row of `width` finite numbers."""
    if not isinstance(value, list):
        raise Refusal(INVALID, f"found {_kind(value)}", where=where, allowed=f"{width} numbers")
    if len(value) != width:
        raise Refusal(
            INVALID, f"found {len(value)} numbers", where=where, allowed=f"exactly {width}"
        )
    for place, number in enumerate(value):
        if type(number) not in (int, float):
            raise Refusal(
                INVALID, f"found {_kind(number)}", where=f"{where}[{place}]", allowed="a number"
            )
        if not -_LARGEST <= number <= _LARGEST or not math.isfinite(number):
            raise Refusal(
                INVALID,
                f"found {number}",
                where=f"{where}[{place}]",
                allowed="a number that a 32-bit float can hold",
            )
    return [float(number) for number in value]


_LARGEST = 3.4028234663852886e38


def _rows(values: object, limits: Limits, where: str, allowed: str) -> list[object]:
    if not isinstance(values, list):
        raise Refusal(INVALID, f"found {_kind(values)}", where=where, allowed=allowed)
    if not values:
        raise Refusal(INVALID, "found no rows", where=where, allowed=allowed)
    if len(values) > limits.rows:
        raise Refusal(
            TOO_LARGE,
            f"found {len(values)} rows",
            where=where,
            allowed=f"at most {limits.rows}",
            hint="send them in several requests",
        )
    return values


def _kind(value: object) -> str:
    """What JSON calls a value of this type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    for kind, name in ((str, "a string"), (list, "a list"), (dict, "an object")):
        if isinstance(value, kind):
            return name
    return type(value).__name__
