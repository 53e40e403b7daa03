"""Envoy's messages as JSON: names of types, durations, shares."""

from __future__ import annotations

import math
from typing import Any

Message = dict[str, Any]


def typed(kind: str, **fields: Any) -> Message:
    """A message that names its type, `config.cluster.v3.Cluster`."""
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def extension(name: str, kind: str, **fields: Any) -> Message:
    """A named extension with its settings."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def duration(seconds: float) -> str:
    """Seconds as protobuf writes them."""
    return f"{seconds:.6f}s"


def percent(share: float) -> Message:
    """A share of requests, in percent."""
    return {"numerator": share, "denominator": "HUNDRED"}


def always() -> Message:
    """A share of all requests, for settings that could be lowered at run time."""
    return {"default_value": percent(100)}


def each(total: int, processes: int) -> int:
    """A gateway process's part of a bound on all of them, rounded up."""
    return math.ceil(total / processes)


def watched(path: str) -> Message:
    """A configuration source: a file that is read again when another one is renamed to it."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}
