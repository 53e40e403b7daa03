"""Spaces of `params.yaml` as spaces of a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openautoglm.config.model import Settings
from openautoglm.config.search import Choices, dimensions, is_whole
from openautoglm.tuning.space import Dimension, Value


def searched(settings: Settings, space: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """The dimensions of a space that mirrors `settings`, named by dotted keys."""
    return tuple(
        Dimension(key, choices=found.choices)
        if isinstance(found, Choices)
        else Dimension(
            key, low=found.low, high=found.high, log=found.log, whole=is_whole(settings, key)
        )
        for key, found in dimensions(space)
    )


def present(settings: Settings, keys: Iterable[str]) -> dict[str, Value]:
    """The values that `settings` has at dotted keys: where a search starts."""
    found: dict[str, Value] = {}
    for key in keys:
        node: Any = settings
        for part in key.split("."):
            node = getattr(node, part)
        found[key] = node
    return found
