"""RDS: which variant a request goes to, which one gets copies, and what is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from openautoglm.config.gateway import Gateway, Retries
from openautoglm.routing.envoy.clusters import feedback_cluster, grpc_cluster, http_cluster
from openautoglm.routing.envoy.layout import ROUTES
from openautoglm.routing.envoy.listener import RATE_LIMIT
from openautoglm.routing.envoy.message import Message, duration, extension, percent, typed
from openautoglm.routing.routes import Routes

_NONE_READY = "no replica is ready: ask again later"
_HEALTH = r"/(v2/)?health/(live|ready)|/v2/models/[^/]+(/versions/[^/]+)?/ready"
_GRPC_HEALTH = (
    r"/grpc\.health\.v1\.Health/.+"
    r"|/inference\.GRPCInferenceService/(ServerLive|ServerReady|ModelReady)"
)


def traffic(gateway: Gateway, routes: Routes) -> Message:
    """The route configuration; routes have been checked."""
    return typed(
        "config.route.v3.RouteConfiguration",
        name=ROUTES,
        virtual_hosts=[
            {
                "name": "all",
                "domains": ["*"],
                "response_headers_to_remove": ["endpoint-load-metrics"],
                "routes": [
                    {
                        "match": {"safe_regex": {"regex": _GRPC_HEALTH}, "grpc": {}},
                        **_health(gateway, routes, grpc_cluster),
                    },
                    {
                        "match": {"prefix": "/", "grpc": {}},
                        **_action(gateway, routes, grpc_cluster),
                    },
                    {
                        "match": {"safe_regex": {"regex": _HEALTH}},
                        **_health(gateway, routes, http_cluster),
                    },
                    # One of the replicas' would be taken for all of them.
                    {"match": {"path": "/metrics"}, "direct_response": {"status": 404}},
                    # A label counts once, so a copy of it would say nothing about a shadow.
                    {
                        "match": {"path": "/v1/feedback"},
                        **_action(gateway, replace(routes, shadow=None), feedback_cluster),
                    },
                    {"match": {"prefix": "/"}, **_action(gateway, routes, http_cluster)},
                ],
            }
        ],
    )


def _health(gateway: Gateway, routes: Routes, name: Callable[[str], str]) -> Message:
    """Answered when nothing else is: bounds of its own, no rate limit, and no copies."""
    action = _action(gateway, replace(routes, shadow=None), name)
    if "route" in action:
        action["route"]["priority"] = "HIGH"
    unlimited = {RATE_LIMIT: typed("config.route.v3.FilterConfig", disabled=True)}
    return {**action, "typed_per_filter_config": unlimited}


def _action(gateway: Gateway, routes: Routes, name: Callable[[str], str]) -> Message:
    weights = {name(variant): weight for variant, weight in routes.weights.items() if weight}
    if not weights:
        return {"direct_response": {"status": 503, "body": {"inline_string": _NONE_READY}}}
    action: Message = {"timeout": duration(gateway.timeout_ms / 1000), **_clusters(weights)}
    if gateway.retries.attempts:
        action["retry_policy"] = _retries(gateway.retries)
    if routes.shadow:
        action["request_mirror_policies"] = [
            {
                "cluster": name(routes.shadow.variant),
                "runtime_fraction": {"default_value": percent(routes.shadow.percent)},
                "disable_shadow_host_suffix_append": True,
            }
        ]
    return {"route": action}


def _clusters(weights: dict[str, int]) -> Message:
    if len(weights) == 1:
        return {"cluster": next(iter(weights))}
    parts = [{"name": name, "weight": weight} for name, weight in sorted(weights.items())]
    return {"weighted_clusters": {"clusters": parts}}


def _retries(retries: Retries) -> Message:
    """A replica that was not reached, or died before it answered, and only that.

    What a replica refuses (429, 503) is not asked for again: that would be more load for those
    that have too much.
    """
    return {
        "retry_on": "connect-failure,refused-stream,reset",
        "num_retries": retries.attempts,
        "retry_back_off": {"base_interval": duration(0.01), "max_interval": duration(0.1)},
        "retry_host_predicate": [
            extension(
                "envoy.retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        # Of two replicas, the one that died is drawn three times in four: fewer draws would end
        # with it too often.
        "host_selection_retry_max_attempts": 100,
    }
