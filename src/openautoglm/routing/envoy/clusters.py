"""CDS: each variant is three clusters: HTTP/1.1, gRPC, and the labels of its answers.

What a gateway counts of a cluster is thereby about predictions, or about labels, and never both.
"""

from __future__ import annotations

from collections.abc import Iterator

from openautoglm.config.bounds import FEEDBACK_CONNECTIONS, HEALTH_CONNECTIONS
from openautoglm.config.gateway import Breakers, Ejection, Gateway, Retries
from openautoglm.routing.envoy.balancing import balancing
from openautoglm.routing.envoy.layout import Layout
from openautoglm.routing.envoy.message import Message, duration, each, typed, watched

_CONNECT_SECONDS = 1.0
_IDLE_SHARE = 0.8
_PROTOCOLS = "extensions.upstreams.http.v3.HttpProtocolOptions"


def http_cluster(variant: str) -> str:
    """Name of a variant's cluster for HTTP."""
    return variant


def grpc_cluster(variant: str) -> str:
    """Name of a variant's cluster for gRPC; no variant can have it."""
    return f"{variant}_grpc"


def feedback_cluster(variant: str) -> str:
    """Name of a variant's cluster for labels; no variant can have it."""
    return f"{variant}_feedback"


def clusters(
    layout: Layout, gateway: Gateway, variant: str, *, replica_idle_seconds: float
) -> Iterator[Message]:
    """A variant's clusters.

    Args:
        layout: Where their endpoints are read.
        gateway: Settings.
        variant: Its name.
        replica_idle_seconds: How long a replica keeps an unused connection.
    """
    both = _breakers(gateway.breakers, gateway.retries, gateway.processes)
    few = _few(FEEDBACK_CONNECTIONS, gateway.retries, gateway.processes)
    for name, http2, bounds in (
        (http_cluster(variant), False, both),
        (grpc_cluster(variant), True, both),
        (feedback_cluster(variant), False, {"thresholds": [few]}),
    ):
        yield typed(
            "config.cluster.v3.Cluster",
            name=name,
            type="EDS",
            eds_cluster_config={
                "eds_config": {
                    **watched(str(layout.endpoints_of(name))),
                    # Were the file gone, a gateway would wait for it this long and then go on.
                    "initial_fetch_timeout": duration(1),
                }
            },
            connect_timeout=duration(_CONNECT_SECONDS),
            circuit_breakers=bounds,
            outlier_detection=_ejection(gateway.ejection),
            load_balancing_policy=balancing(gateway.balancing),
            common_lb_config={
                # Were every replica ejected, any of them is a better guess than an error.
                "healthy_panic_threshold": {"value": 1},
                # Changes are in force when they are told, not gathered for a second.
                "update_merge_window": duration(0),
            },
            typed_extension_protocol_options={
                f"envoy.{_PROTOCOLS}": _protocol(http2, replica_idle_seconds)
            },
        )


def _protocol(http2: bool, replica_idle_seconds: float) -> Message:
    explicit: Message = {"http2_protocol_options" if http2 else "http_protocol_options": {}}
    return typed(
        _PROTOCOLS,
        explicit_http_config=explicit,
        common_http_protocol_options={
            # Closed here before the replica does it: otherwise a request may be on its way while
            # the replica closes.
            "idle_timeout": duration(_IDLE_SHARE * replica_idle_seconds)
        },
        outlier_detection={"error_matcher": _failed()},
    )


def _failed() -> Message:
    """A model that failed; refusals of a replica that is full or drains say nothing against it."""
    answers = ((":status", "500"), ("grpc-status", "13"))
    return {
        "or_match": {
            "rules": [
                {
                    "http_response_headers_match": {
                        "headers": [{"name": name, "string_match": {"exact": value}}]
                    }
                }
                for name, value in answers
            ]
        }
    }


def _breakers(breakers: Breakers, retries: Retries, processes: int) -> Message:
    bounds = {
        "max_requests": each(breakers.requests, processes),
        "max_pending_requests": each(breakers.pending, processes),
        "max_connections": each(breakers.connections, processes),
        "retry_budget": _budget(retries),
    }
    # Health checks have connections and bounds of their own: they pass when others do not.
    health = _few(HEALTH_CONNECTIONS, retries, processes)
    return {"thresholds": [bounds, {"priority": "HIGH", **health}]}


def _few(connections: int, retries: Retries, processes: int) -> Message:
    return {"max_connections": each(connections, processes), "retry_budget": _budget(retries)}


def _budget(retries: Retries) -> Message:
    return {
        "budget_percent": {"value": retries.budget_percent},
        "min_retry_concurrency": retries.budget_floor,
    }


def _ejection(ejection: Ejection) -> Message:
    failures = ejection.consecutive_failures
    enforced = 100 if failures else 0
    return {
        # What never reached a replica is counted apart from what it answered.
        "split_external_local_origin_errors": True,
        "consecutive_5xx": failures or 1,
        "enforcing_consecutive_5xx": enforced,
        "consecutive_local_origin_failure": failures or 1,
        "enforcing_consecutive_local_origin_failure": enforced,
        # These compare replicas with one another over a time: too slow for a handful of them.
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": duration(min(ejection.seconds, 1)),
        "base_ejection_time": duration(ejection.seconds),
        "max_ejection_percent": ejection.max_percent,
    }
