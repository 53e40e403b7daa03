"""The five fields of a cron: when a schedule fires.

Crons differ in what they make of the rarer forms. What is read here means the same to everybody
who reads it afterwards; all else is refused, with another way to write it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from openautoglm.errors import ConfigError

ALLOWED = (
    "five fields, minute hour day month weekday, each *, 5, 1-5, 1-5/2, */15 or a list of these; "
    "months also as jan, weekdays as mon; or @hourly, @daily, @weekly, @monthly, @yearly"
)
_DESCRIPTORS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:(?P<star>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\w+))?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One of the five fields.

    Attributes:
        text: As it was written.
        values: The numbers it stands for; Sunday is 0.
        starred: Whether it begins with a star, and so says nothing or little.
    """

    text: str
    values: frozenset[int]
    starred: bool


@dataclass(frozen=True)
class Cron:
    """When a schedule fires; days count when both fields of days allow them, see `parse`."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def fields(self) -> tuple[Field, ...]:
        """In the order in which they are written."""
        return (self.minute, self.hour, self.day, self.month, self.weekday)

    def __str__(self) -> str:
        return " ".join(field.text for field in self.fields)


def parse(text: str) -> Cron:
    """Read a cron.

    A day counts if it is in `day` or in `weekday` when both are given, as in every cron.

    Raises:
        ConfigError: It has another number of fields, one of them cannot be read, it can be
            read in two ways, or it never fires. `what` has no place; the caller adds it.
    """
    written = _DESCRIPTORS.get(text.strip().lower(), text).split()
    if text.strip().startswith("@") and len(written) != 5:
        raise ConfigError(f"found {text.strip()!r}", allowed=ALLOWED)
    if len(written) == 6:
        raise ConfigError(
            f"found six fields in {text!r}",
            allowed=ALLOWED,
            hint=f'leave the seconds out: "{" ".join(written[1:])}"',
        )
    if len(written) != 5:
        raise ConfigError(f"found {len(written)} fields in {text!r}", allowed=ALLOWED)
    minute, hour, day, month, weekday = written
    cron = Cron(
        _field("minute", minute, 0, 59),
        _field("hour", hour, 0, 23),
        _field("day", day, 1, 31),
        _field("month", month, 1, 12, _MONTHS, 1),
        _field("weekday", weekday, 0, 7, _WEEKDAYS),
    )
    _refuse_two_readings(cron)
    _refuse_never(cron)
    return cron


def _field(
    name: str, text: str, least: int, most: int, names: tuple[str, ...] = (), first: int = 0
) -> Field:
    numbers = {word: number for number, word in enumerate(names, first)}
    values: set[int] = set()
    for item in text.split(","):
        found = _ITEM.fullmatch(item)
        if found is None or (found["star"] and "," in text):
            raise _unread(name, text, least, most)
        low, high = least, 6 if name == "weekday" else most
        if not found["star"]:
            low = _number(name, text, found["low"], least, most, numbers)
            high = low
            if found["high"]:
                high = _number(name, text, found["high"], least, most, numbers)
                if low == high:  # to some it is one value, to others the whole cycle
                    raise ConfigError(
                        f"the range {item} of the {name} can be read in two ways",
                        allowed=f"{low}, or *",
                    )
            elif found["step"]:
                raise ConfigError(
                    f"the {name} {text!r} has a step but no range",
                    allowed=f"{low}-{most}/{found['step']}, or */{found['step']}",
                )
        if low > high:
            raise ConfigError(
                f"the range {item} of the {name} ends before it begins",
                allowed=f"{least} to {most}, or two ranges: {low}-{most},{least}-{high}",
            )
        step = _step(name, item, found["step"], high - low)
        values |= set(range(low, high + 1, step))
    if name == "weekday":
        values = {value % 7 for value in values}
    return Field(text, frozenset(values), text.startswith("*"))


def _step(name: str, item: str, text: str | None, width: int) -> int:
    if text is None:
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= width:
        raise ConfigError(
            f"the step of {item} in the {name} is {text}", allowed=f"1 to {width}, within its range"
        )
    return int(text)


def _number(
    name: str, field: str, text: str, least: int, most: int, numbers: dict[str, int]
) -> int:
    if text.lower() in numbers:
        return numbers[text.lower()]
    if not text.isdecimal() or not least <= int(text) <= most:
        raise _unread(name, field, least, most)
    return int(text)


def _unread(name: str, text: str, least: int, most: int) -> ConfigError:
    return ConfigError(f"the {name} {text!r} is not {least} to {most}", allowed=ALLOWED)


def _refuse_two_readings(cron: Cron) -> None:
    """`*/2 * 1`: to some it is every second day that is a Monday, to others also Mondays."""
    day, weekday = cron.day, cron.weekday
    stepped = [field for field in (day, weekday) if field.starred and field.text != "*"]
    if stepped and "*" not in (day.text, weekday.text):
        raise ConfigError(
            f"day {day.text!r} and weekday {weekday.text!r} can be read in two ways",
            allowed="one of them *, or both without a star",
            hint="write the days out, as in 1-31/2: then a day counts that is in one of them",
        )


def _refuse_never(cron: Cron) -> None:
    """Only the last days of short months can fail to come, and a weekday comes in any case."""
    if cron.weekday.text != "*" and not cron.day.starred:
        return
    if all(min(cron.day.values) > _LONGEST[month - 1] for month in cron.month.values):
        raise ConfigError(
            f"{str(cron)!r} never fires: month {cron.month.text} has no day {cron.day.text}",
            allowed="a day that comes",
        )
