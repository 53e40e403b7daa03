"""What is rendered for Envoy: every setting has an effect, and what could be mistaken is not."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from openautoglm.config.gateway import Gateway
from openautoglm.routing.envoy import bootstrap
from openautoglm.routing.envoy.clusters import clusters, grpc_cluster, http_cluster
from openautoglm.routing.envoy.endpoints import endpoints
from openautoglm.routing.envoy.layout import Layout
from openautoglm.routing.envoy.listener import listener
from openautoglm.routing.envoy.message import each
from openautoglm.routing.envoy.traffic import traffic
from openautoglm.routing.routes import Endpoint, Routes, Shadow

HERE = Path("/srv/envoy")
ROUTES = Routes(
    {"a": (Endpoint("127.0.0.1", 1, 2),), "b": (Endpoint("127.0.0.1", 3),)}, {"a": 60, "b": 40}
)
OTHERWISE = {
    "host": "0.0.0.0",  # noqa: S104
    "balancing": "round_robin",
    "budget_percent": "60%",
    "requests_per_second": 7,
    "max_percent": 51,
}


def rendered(gateway):
    layout = Layout(HERE)
    return [
        listener(gateway, layout.traffic),
        list(clusters(layout, gateway, "a", replica_idle_seconds=75)),
        traffic(gateway, ROUTES),
    ]


def actions(told):
    """Where requests go, health checks first: gRPC, then HTTP."""
    (host,) = told["virtual_hosts"]
    return [one["route"] for one in host["routes"] if "route" in one]


def leaves(model, path=()):
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, (*path, name))
        else:
            yield pytest.param((*path, name), value, id=".".join((*path, name)))


def changed(path, value):
    name = path[-1]
    new = OTHERWISE[name] if name in OTHERWISE else value + 1024
    if name in ("processes", "attempts", "consecutive_failures"):
        new = value + 1
    for key in reversed(path):
        new = {key: new}
    return Gateway.model_validate(new)


@pytest.mark.parametrize(("path", "value"), list(leaves(Gateway())))
def test_every_setting_has_an_effect(path, value):
    assert rendered(changed(path, value)) != rendered(Gateway())


def test_no_failures_and_no_attempts_switch_off():
    off = {"ejection": {"consecutive_failures": 0}, "retries": {"attempts": 0}}
    _, (cluster, *_), routes = rendered(Gateway.model_validate(off))
    told = cluster["outlier_detection"]
    assert told["enforcing_consecutive_5xx"] == 0
    assert told["enforcing_consecutive_local_origin_failure"] == 0
    assert "retry_policy" not in str(routes)


def test_bounds_are_shared_between_processes_and_rounded_up():
    assert [each(total, 2) for total in (1, 2, 3, 1024)] == [1, 1, 2, 512]


def test_weights_of_0_are_left_out_and_100_is_one_cluster():
    routes = Routes(ROUTES.variants, {"a": 100, "b": 0})
    told = traffic(Gateway(), routes)
    assert [one["cluster"] for one in actions(told)] == ["a_grpc", "a_grpc", "a", "a_feedback", "a"]
    assert "weighted_clusters" not in str(told)


def test_the_order_of_weights_and_endpoints_says_nothing():
    turned = Routes(ROUTES.variants, {"b": 40, "a": 60})
    assert traffic(Gateway(), turned) == traffic(Gateway(), ROUTES)
    places = [("127.0.0.1", 2), ("127.0.0.1", 1)]
    assert endpoints("a", places) == endpoints("a", reversed(places))


def test_a_variant_cannot_be_mistaken_for_the_grpc_side_of_another():
    names = [*(http_cluster(one) for one in ("a", "a-grpc")), grpc_cluster("a")]
    assert len(set(names)) == 3
    Routes({"a": (), "a-grpc": ()}).check()


def test_a_shadow_follows_the_protocol_and_gets_no_health_checks():
    shadowed = Routes(ROUTES.variants, {"a": 100}, Shadow("b", 10))
    told = [one.get("request_mirror_policies") for one in actions(traffic(Gateway(), shadowed))]
    assert [copies and copies[0]["cluster"] for copies in told] == [None, "b_grpc", None, None, "b"]


def test_unused_connections_are_closed_before_the_replica_does_it():
    for cluster in clusters(Layout(HERE), Gateway(), "a", replica_idle_seconds=10):
        (protocol,) = cluster["typed_extension_protocol_options"].values()
        idle = protocol["common_http_protocol_options"]["idle_timeout"]
        assert float(idle.removesuffix("s")) < 10


def test_there_is_no_open_admin_port():
    told = bootstrap.render(HERE, admin=Path("/run/gateway-0.sock"))
    assert told["admin"]["address"] == {"pipe": {"path": "/run/gateway-0.sock", "mode": 0o600}}
    assert told["node"]["id"] == "gateway-0"
    assert "static_resources" not in told


def test_a_gateway_has_one_worker_and_no_shared_memory():
    told = bootstrap.command(Path("/srv/b.json"), drain_seconds=7)
    assert Path(told[0]).is_file()
    assert told[told.index("--concurrency") + 1] == "1"
    assert told[told.index("--drain-time-s") + 1] == "7"
    assert "--disable-hot-restart" in told
