"""Bounds of a service that must fit one another: of the gateway, its processes, and replicas."""

from __future__ import annotations

from functools import reduce
from typing import Any

from openautoglm.config.model import Settings

HEALTH_CONNECTIONS = 16
"""Connections to a variant that only health checks through the gateway may use."""
FEEDBACK_CONNECTIONS = 16
"""Connections to a variant for the labels of answers."""
OTHER_CONNECTIONS = 64
"""Of a replica's: for labels, health checks, the controller's, and bounds that were rounded up."""
ADDED_HEADER_BYTES = 1024
"""More than a gateway adds to a request's headers."""
_SHARED = (
    "gateway.limits.requests_per_second",
    "gateway.limits.connections",
    "gateway.breakers.requests",
    "gateway.breakers.pending",
    "gateway.breakers.connections",
)


def one_for_each_process(service: Settings) -> None:
    """See that bounds that the gateway's processes divide between them can be divided.

    Raises:
        ValueError: One is less than there are processes, so all of them would take more.
    """
    processes = _found(service, "gateway.processes")
    for key in _SHARED:
        bound = _found(service, key)
        if bound is not None and bound < processes:
            raise ValueError(
                f"{key}: each of {processes} gateway processes (`gateway.processes`) counts its "
                f"own part, and {bound} has not one for each: set {key}: {processes} or "
                f"gateway.processes: {bound}"
            )


def room_at_replicas(service: Settings) -> None:
    """See that a replica has room for all that the gateway may send to it.

    Raises:
        ValueError: It has not.
    """
    _below(
        service,
        "gateway.breakers.connections",
        "serving.limits.connections",
        OTHER_CONNECTIONS,
        "which leaves a replica room for health checks",
    )
    _below(
        service,
        "gateway.limits.header_bytes",
        "serving.limits.header_bytes",
        ADDED_HEADER_BYTES,
        "because the gateway adds headers",
        step=1024,
    )


def _below(service: Settings, low: str, high: str, by: int, because: str, *, step: int = 1) -> None:
    less, more = _found(service, low), _found(service, high)
    if less + by <= more:
        return
    fits = (more - by) // step * step
    ways = [f"{low}: {fits}"] if fits >= step else []
    # The file's line is found by what a message names first.
    named = low if _given(service, low) else high
    raise ValueError(
        f"{named}: `{low}` ({less}) must be at least {by} below `{high}` ({more}), {because}: "
        f"set {' or '.join([*ways, f'{high}: {less + by}'])}"
    )


def _found(service: Settings, key: str) -> Any:
    return reduce(getattr, key.split("."), service)


def _given(service: Settings, key: str) -> bool:
    """Whether somebody wrote a key."""
    section = service
    for name in key.split("."):
        if name not in section.model_fields_set:
            return False
        section = getattr(section, name)
    return True
