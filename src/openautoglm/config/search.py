"""Search spaces, written the way the section they search is written.

A space mirrors a settings section: where that has a value, the space has a range or choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from openautoglm.config.model import Settings

S = TypeVar("S", bound=Settings)
Scalar = bool | int | float | str


class Range(Settings):
    """Every value from `low` to `high`; whole numbers where the setting is one."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="search the logarithm")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"`low` ({self.low}) must lie below `high` ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"`low` ({self.low}) must lie above 0 with `log`")
        return self


class Choices(Settings):
    """One of these."""

    choices: tuple[Scalar | tuple[Scalar, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(map(repr, self.choices))) < len(self.choices):
            raise ValueError("`choices` has one twice")
        return self


Dimension = Range | Choices
Space = dict[str, Dimension | dict[str, Dimension]]


def dimensions(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Dimension]]:
    """Each dimension with its dotted key, in the space's order."""
    for key, value in space.items():
        if isinstance(value, Mapping):
            yield from dimensions(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def with_values(settings: Settings, values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of `settings` with dotted keys replaced.

    Raises:
        KeyError: There is no such key.
    """
    plain: dict[str, Any] = settings.model_dump(mode="json", by_alias=True)
    for dotted, value in values.items():
        *path, last = dotted.split(".")
        node = plain
        for part in path:
            node = node[part]
        if last not in node or isinstance(node[last], dict):
            raise KeyError(dotted)
        node[last] = value
    return plain


def changed(settings: S, values: Mapping[str, Any]) -> S:
    """The same settings with other values at dotted keys.

    Raises:
        KeyError: There is no such key.
        ValidationError: A value is none that the setting can have.
    """
    return type(settings).model_validate(with_values(settings, values), strict=False)


def check_space(settings: Settings, space: Mapping[str, Any], name: str) -> None:
    """Every dimension is a key of `settings`, and every value in it is one it could have.

    Args:
        settings: The section that is searched.
        space: Its space.
        name: What the section is called, for the message.

    Raises:
        ValueError: It is not so.
    """
    for key, dimension in dimensions(space):
        ends = (
            dimension.choices if isinstance(dimension, Choices) else (dimension.low, dimension.high)
        )
        if isinstance(dimension, Range) and not _is_number(settings, key):
            raise ValueError(f"`{key}` is no number, so it has choices and no range")
        for value in ends:
            try:
                changed(settings, {key: value})
            except KeyError:
                raise ValueError(f"`{key}` is no setting of {name} that can be searched") from None
            except ValidationError as error:
                raise ValueError(
                    f"`{key}`: {value!r} is no value for {name}.{key}: {error.errors()[0]['msg']}"
                ) from None


def is_whole(settings: Settings, key: str) -> bool:
    """Whether the setting at a dotted key is a whole number."""
    node: Any = settings
    for part in key.split("."):
        node = getattr(node, part)
    return isinstance(node, int) and not isinstance(node, bool)


def _is_number(settings: Settings, key: str) -> bool:
    node: Any = settings
    for part in key.split("."):
        node = getattr(node, part, None)
    return not isinstance(node, bool | str | tuple | Settings)
