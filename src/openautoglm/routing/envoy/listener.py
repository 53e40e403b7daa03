"""LDS: the port that clients connect to, and the bounds on what they can make a gateway hold."""

from __future__ import annotations

import math
from pathlib import Path

from openautoglm.config.gateway import Gateway, GatewayLimits
from openautoglm.routing.envoy.counted import access_log
from openautoglm.routing.envoy.layout import LISTENER, ROUTES
from openautoglm.routing.envoy.local_replies import local_replies
from openautoglm.routing.envoy.message import (
    Message,
    always,
    duration,
    each,
    extension,
    typed,
    watched,
)

RATE_LIMIT = "rate"
"""Name of the filter, by which routes leave it out."""
_MOST_HEADERS = 1000
_CLOSING_SECONDS = 0.2
_HTTP = "extensions.filters.http"
_NETWORK = "extensions.filters.network"


def listener(gateway: Gateway, traffic: Path) -> Message:
    """The port, for HTTP/1.1 and gRPC; the processes share it.

    Args:
        gateway: Settings.
        traffic: The file with the routes.
    """
    address = {"address": gateway.host, "port_value": gateway.port}
    return typed(
        "config.listener.v3.Listener",
        name=LISTENER,
        address={"socket_address": address},
        enable_reuse_port=True,
        filter_chains=[
            {"filters": [_connection_limit(gateway), _connection_manager(gateway, traffic)]}
        ],
    )


def _connection_limit(gateway: Gateway) -> Message:
    return extension(
        "connections",
        f"{_NETWORK}.connection_limit.v3.ConnectionLimit",
        stat_prefix=LISTENER,
        max_connections=each(gateway.limits.connections, gateway.processes),
    )


def _connection_manager(gateway: Gateway, traffic: Path) -> Message:
    limits = gateway.limits
    return extension(
        "http",
        f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=LISTENER,
        codec_type="AUTO",
        rds={"route_config_name": ROUTES, "config_source": watched(str(traffic))},
        access_log=access_log(),
        http_filters=[*_rate_limit(gateway), extension("router", f"{_HTTP}.router.v3.Router")],
        local_reply_config=local_replies(),
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": LISTENER},
        # Clients are not us: their `x-envoy-*` headers would set retries and timeouts.
        use_remote_address=True,
        normalize_path=True,
        # A request keeps the name it came with; the replica, its log and the answer have it too.
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        request_id_extension={
            "typed_config": typed(
                "extensions.request_id.uuid.v3.UuidRequestIdConfig", pack_trace_reason=False
            )
        },
        # Answers are the replica's own, with its headers.
        server_header_transformation="PASS_THROUGH",
        **_bounds(limits, gateway.timeout_ms / 1000),
    )


def _bounds(limits: GatewayLimits, timeout: float) -> Message:
    return {
        "common_http_protocol_options": {
            "idle_timeout": duration(limits.idle_seconds),
            # Their size is the bound; Envoy's own 100 would be met first.
            "max_headers_count": _MOST_HEADERS,
        },
        # After the idle time, what still comes is answered for as long as the first says. What
        # comes while the second runs is lost; it is for clients that get an answer before they
        # sent all, and would be reset before they read it.
        "drain_timeout": duration(_CLOSING_SECONDS),
        "delayed_close_timeout": duration(_CLOSING_SECONDS),
        "request_timeout": duration(limits.request_seconds),
        "request_headers_timeout": duration(limits.request_seconds),
        # Whoever does not read the answer: longer than anything else may take.
        "stream_idle_timeout": duration(limits.request_seconds + timeout + 1),
        "max_request_headers_kb": math.ceil(limits.header_bytes / 1024),
    }


def _rate_limit(gateway: Gateway) -> list[Message]:
    rate = gateway.limits.requests_per_second
    if rate is None:
        return []
    tokens = each(rate, gateway.processes)
    return [
        extension(
            RATE_LIMIT,
            f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
            stat_prefix=LISTENER,
            token_bucket={
                "max_tokens": tokens,
                "tokens_per_fill": tokens,
                "fill_interval": duration(1),
            },
            filter_enabled=always(),
            filter_enforced=always(),
            rate_limited_as_resource_exhausted=True,
        )
    ]
