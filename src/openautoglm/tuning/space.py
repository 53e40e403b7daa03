"""What is searched: branches of a search, their dimensions, and points in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

Scalar = bool | int | float | str | None
Value = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched: a range from `low` to `high`, or `choices`.

    Attributes:
        name: Key of the setting.
        low: Smallest value of a range.
        high: Largest value of a range.
        log: The logarithm of a range is searched.
        whole: A range of whole numbers.
        choices: The values of a setting that has no range.

    Raises:
        ValueError: It is neither or both, a range is empty, or a choice stands twice.
    """

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        if self.choices:
            if not self.low is self.high is None:
                raise ValueError(f"`{self.name}` has a range and choices")
            if len({label(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError(f"`{self.name}` has a choice twice")
            return
        low, high = self.range
        if not low < high:
            raise ValueError(f"`{self.name}` has an empty range, {low} to {high}")
        if self.log and low <= 0:
            raise ValueError(f"`{self.name}` has no logarithm at {low}")
        if self.whole and (low != int(low) or high != int(high)):
            raise ValueError(f"`{self.name}` has ends that are no whole numbers")

    @property
    def range(self) -> tuple[float, float]:
        """Both ends.

        Raises:
            ValueError: There is no range.
        """
        if self.low is None or self.high is None:
            raise ValueError(f"`{self.name}` has no range")
        return self.low, self.high

    def has(self, value: Value) -> bool:
        """Whether a value lies in the dimension."""
        if self.choices:
            return label(value) in map(label, self.choices)
        low, high = self.range
        return self.fits(value) and low <= value <= high  # type: ignore[operator]

    def fits(self, value: Value) -> bool:
        """Whether a value is of the dimension's kind, though perhaps out of its range."""
        if self.choices:
            return self.has(value)
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return math.isfinite(value) and (value > 0 or not self.log)

    @property
    def size(self) -> float:
        """How many values there are; infinite for a range of real numbers."""
        if self.choices:
            return len(self.choices)
        low, high = self.range
        return high - low + 1 if self.whole else math.inf

    def all(self) -> tuple[Value, ...]:
        """Each value of a dimension of finite size."""
        low, high = (0.0, -1.0) if self.choices else self.range
        return self.choices or tuple(range(int(low), int(high) + 1))


@dataclass(frozen=True)
class Point:
    """Values of the settings in one branch; hashable, whatever the order of its keys.

    Attributes:
        branch: Which branch they belong to.
        values: Value by name; lists become tuples.
    """

    branch: str
    values: Mapping[str, Value]

    def __post_init__(self) -> None:
        values = {key: _frozen(value) for key, value in sorted(self.values.items())}
        object.__setattr__(self, "values", values)

    def __hash__(self) -> int:
        return hash((self.branch, *self.values.items()))

    def __str__(self) -> str:
        told = (f"{key}={_short(value)}" for key, value in self.values.items())
        return " ".join((self.branch, *told))


@dataclass(frozen=True)
class Space:
    """Dimensions by branch; each branch is a search of its own that shares the rounds.

    Attributes:
        name: What a branch is, such as `family`.
        branches: Dimensions of each; a branch without any is never sampled.

    Raises:
        ValueError: A branch has two dimensions of one name, or one with the space's.
    """

    name: str
    branches: Mapping[str, tuple[Dimension, ...]]

    def __post_init__(self) -> None:
        for branch, dimensions in self.branches.items():
            names = [self.name, *(dimension.name for dimension in dimensions)]
            if len(set(names)) < len(names):
                raise ValueError(f"`{branch}` has two dimensions of one name")

    def has(self, point: Point) -> bool:
        """Whether a point lies in its branch: every dimension, and nothing else."""
        dimensions = {d.name: d for d in self.branches.get(point.branch, ())}
        return dimensions.keys() == point.values.keys() and all(
            dimensions[name].has(value) for name, value in point.values.items()
        )

    def title(self, branch: str, name: str) -> str:
        """A dimension's name among all branches: with its branch where others have it too."""
        shared = sum(name == d.name for ds in self.branches.values() for d in ds) > 1
        return f"{branch}.{name}" if shared else name

    def size(self, branch: str) -> float:
        """How many points a branch has; none without dimensions."""
        dimensions = self.branches[branch]
        return math.prod(d.size for d in dimensions) if dimensions else 0

    def all(self, branch: str) -> Iterator[Point]:
        """Each point of a branch of finite size."""
        dimensions = self.branches[branch]
        names = [dimension.name for dimension in dimensions]
        for values in product(*(dimension.all() for dimension in dimensions)):
            yield Point(branch, dict(zip(names, values, strict=True)))


def label(value: Value) -> str:
    """A choice as Optuna stores it: itself when it is text, JSON otherwise."""
    return value if isinstance(value, str) else json.dumps(value)


def _frozen(value: Value) -> Value:
    return tuple(value) if isinstance(value, list) else value


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label(value).replace(" ", "")
