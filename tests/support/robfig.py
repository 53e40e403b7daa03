"""What `robfig/cron` 1.2, the controller's cron, makes of a text: seconds first, weekday last."""

from __future__ import annotations

from datetime import datetime

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = (
    {},
    {},
    {},
    {},
    {name: number for number, name in enumerate(_MONTHS, 1)},
    {name: number for number, name in enumerate(_DAYS)},
)


def parse(text: str) -> list[tuple[set[int], bool]]:
    """Values of each of the six fields, and whether it has the star that lets others decide.

    Raises:
        ValueError: It is not read.
    """
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError(f"Expected 5 to 6 fields, found {len(fields)}: {text}")
    return [
        _field(field, *bounds, names)
        for field, bounds, names in zip([*fields, "*"][:6], _BOUNDS, _NAMES, strict=True)
    ]


def _field(field: str, least: int, most: int, names: dict[str, int]) -> tuple[set[int], bool]:
    values: set[int] = set()
    star = False
    for part in filter(None, field.split(",")):
        ranged, *steps = part.split("/")
        low_text, *rest = ranged.split("-")
        if len(steps) > 1 or len(rest) > 1:
            raise ValueError(f"Too many slashes or hyphens: {part}")
        if low_text in ("*", "?"):
            low, high, star = least, most, True
        else:
            low = _number(low_text, names)
            high = _number(rest[0], names) if rest else low
            high = most if steps and not rest else high
        step = _number(steps[0], {}) if steps else 1
        if low < least or high > most or low > high or step == 0:
            raise ValueError(f"Out of range: {part}")
        values |= set(range(low, high + 1, step))
    return values, star


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdecimal():
        raise ValueError(f"Failed to parse int from {text}")
    return int(text)


def fires(fields: list[tuple[set[int], bool]], time: datetime) -> bool:
    """Whether a schedule fires at a second: days are joined by `and` if one of them has a star."""
    second, minute, hour, day, month, weekday = fields
    on_day = time.day in day[0]
    on_weekday = time.isoweekday() % 7 in weekday[0]
    joined = (on_day and on_weekday) if day[1] or weekday[1] else (on_day or on_weekday)
    rest = ((time.second, second), (time.minute, minute), (time.hour, hour), (time.month, month))
    return joined and all(found in values for found, (values, _) in rest)
