"""EDS: where the replicas of a cluster listen."""

from __future__ import annotations

from collections.abc import Iterable

from openautoglm.routing.envoy.message import Message, typed


def endpoints(cluster: str, places: Iterable[tuple[str, int]]) -> Message:
    """A cluster's replicas.

    Args:
        cluster: Its name.
        places: Addresses and ports; an order of their own says nothing.
    """
    found = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in sorted(set(places))
    ]
    return typed(
        "config.endpoint.v3.ClusterLoadAssignment",
        cluster_name=cluster,
        endpoints=[{"lb_endpoints": found}] if found else [],
    )
