"""`config.yaml`: how a model is served."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from openautoglm.config.bounds import (
    ADDED_HEADER_BYTES,
    OTHER_CONNECTIONS,
    one_for_each_process,
    room_at_replicas,
)
from openautoglm.config.model import Settings
from openautoglm.config.percent import Percent, at_most
from openautoglm.config.serving import Seconds, Serving
from openautoglm.config.yaml import read

ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]


def _address(found: str) -> str:
    try:
        ip_address(found)
    except ValueError:
        raise ValueError(
            f"found {found!r}, which is no IP address such as 127.0.0.1 or 0.0.0.0"
        ) from None
    return found


def _without_effect(section: Settings, keys: tuple[str, ...], because: str) -> None:
    """Refuse keys that were changed and cannot matter.

    Compared with the defaults, not asked whether they were given: a service that was stored has
    every key.

    Raises:
        ValueError: There is one.
    """
    for key in keys:
        if getattr(section, key) != type(section).model_fields[key].default:
            raise ValueError(f"`{key}` has no meaning with {because}")


class Pipeline(Settings):
    """What the model does, checked against the model itself."""

    task: Literal["text-classification", "tabular-classification"] = Field(
        "text-classification", description="texts, or rows of numbers"
    )
    labels: tuple[str, ...] | None = Field(
        None, min_length=2, description="the classes the model must have; null takes the model's"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.labels or ())) < len(self.labels or ()):
            raise ValueError("`labels` has one label twice")
        return self


class Autoscale(Settings):
    """Replicas follow the load, as Kubernetes' HorizontalPodAutoscaler does it."""

    # Use ends near 100 %: a higher target would never call for another replica.
    cpu_threshold: Annotated[Percent, at_most(95)] = Field(
        description="CPU use to keep a replica at, of its `serving.threads`; at most 95%",
    )
    min_replicas: int = Field(1, ge=1, le=100, description="never fewer")
    max_replicas: int = Field(ge=1, le=100, description="never more")
    scale_up_seconds: Seconds = Field(
        5, ge=0, description="load must call for more replicas this long"
    )
    scale_down_seconds: Seconds = Field(
        60, ge=0, description="load must call for fewer replicas this long"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"`min_replicas` ({self.min_replicas}) is more than `max_replicas` "
                f"({self.max_replicas})"
            )
        if self.min_replicas == self.max_replicas:
            raise ValueError(
                f"`max_replicas` ({self.max_replicas}) is `min_replicas`, so nothing can be "
                f"scaled: raise it, or remove `autoscale` and set replicas: {self.max_replicas}"
            )
        return self


class Retries(Settings):
    """Predictions have no effect, so one that met a dead replica is asked for again."""

    attempts: int = Field(2, ge=0, le=10, description="after the first; 0 never retries")
    budget_percent: Percent = Field(
        25.0,
        description="retries under way, at most, of the requests under way",
        json_schema_extra={"default": "25%"},
    )
    budget_floor: int = Field(
        128,
        ge=1,
        le=100_000,
        description="retries that each process may have under way whatever the budget says",
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.attempts == 0:
            _without_effect(self, ("budget_percent", "budget_floor"), "attempts: 0")
        return self


class Breakers(Settings):
    """Bounds on what is under way to one variant; beyond, 503.

    Each gateway process counts its own part of them, for HTTP and for gRPC.
    """

    requests: int = Field(1024, ge=1, le=1_000_000, description="requests under way")
    pending: int = Field(
        1024, ge=1, le=1_000_000, description="requests that wait for a connection"
    )
    # Half of what a replica takes: after a change of settings, old connections that are in use
    # live on beside new ones.
    connections: int = Field(
        512,
        ge=1,
        le=65_000,
        description="connections to replicas; one replica may get all of them, so at least "
        f"{OTHER_CONNECTIONS} fewer than `serving.limits.connections`",
    )


class Ejection(Settings):
    """A replica that keeps failing gets no requests for a while."""

    consecutive_failures: int = Field(
        5, ge=0, le=1000, description="500s, resets or refused connections in a row; 0 never ejects"
    )
    seconds: Seconds = Field(5, ge=0.1, description="the first time; the n-th time n times as long")
    max_percent: int = Field(50, ge=1, le=100, description="of a variant's replicas, at most")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.consecutive_failures == 0:
            _without_effect(self, ("seconds", "max_percent"), "consecutive_failures: 0")
        return self


class GatewayLimits(Settings):
    """Bounds on what clients can make the gateway hold."""

    requests_per_second: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="requests taken, health checks aside; beyond, 429. Each gateway process counts "
        "its own part. null sets no bound",
    )
    connections: int = Field(
        4096,
        ge=1,
        le=1_000_000,
        description="open connections; each gateway process counts its own part",
    )
    header_bytes: int = Field(
        15360,
        ge=1024,
        le=98304,
        multiple_of=1024,
        description="request line and headers together; the gateway adds some, so at least "
        f"{ADDED_HEADER_BYTES} fewer than `serving.limits.header_bytes`",
    )
    idle_seconds: Seconds = Field(75, ge=1, description="an unused connection is kept this long")
    request_seconds: Seconds = Field(10, ge=0.1, description="a request must arrive in this time")


class Gateway(Settings):
    """Envoy, before the replicas."""

    host: Annotated[str, AfterValidator(_address)] = Field(
        "127.0.0.1", description="IP address to listen on"
    )
    port: int = Field(8080, ge=1, le=65535, description="HTTP and gRPC")
    processes: int = Field(
        2,
        ge=1,
        le=16,
        description="Envoys that share the port; of two, the other one goes on when one is killed",
    )
    balancing: Literal["least_request", "round_robin", "load_weighted"] = Field(
        "least_request", description="how a replica of a variant is picked"
    )
    timeout_ms: int = Field(
        10_000,
        ge=1,
        le=3_600_000,
        description="longest a request may take, retries included; the replica is told, and when "
        "this is less than `serving.timeout_ms` it is what ends a request",
    )
    retries: Retries = Field(Retries(), description="after a replica died or refused a connection")
    breakers: Breakers = Field(Breakers(), description="bounds on what is under way to a variant")
    ejection: Ejection = Field(Ejection(), description="of replicas that keep failing")
    limits: GatewayLimits = Field(GatewayLimits(), description="bounds on clients")


class Service(Settings):
    """One model behind one gateway."""

    name: ServiceName | None = Field(
        None, description="what it is called; null takes the registered model's name"
    )
    model: str = Field(
        min_length=1,
        description="models:/NAME@ALIAS, models:/NAME/VERSION, a folder in the project, or the "
        "base model of a champion",
    )
    quantization: str = Field(
        "auto", min_length=1, description="the precision served; auto is the one compress chose"
    )
    replicas: int = Field(2, ge=1, le=100, description="processes that serve the model")
    autoscale: Autoscale | None = Field(None, description="replicas follow the load")
    pipeline: tuple[Pipeline, ...] = Field(
        (Pipeline(),), min_length=1, max_length=1, description="what the model does: one task"
    )
    serving: Serving = Field(Serving(), description="each replica, as in docs/serving-settings.md")
    gateway: Gateway = Field(Gateway(), description="Envoy, before the replicas")

    @model_validator(mode="after")
    def _first_count(self) -> Self:
        scale = self.autoscale
        if scale and not scale.min_replicas <= self.replicas <= scale.max_replicas:
            given = "replicas" in self.model_fields_set
            told = "`replicas` is" if given else "without `replicas` the first count is"
            raise ValueError(
                f"{'replicas' if given else 'autoscale'}: {told} {self.replicas}, not between "
                f"`min_replicas` ({scale.min_replicas}) and `max_replicas` ({scale.max_replicas})"
            )
        return self

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        one_for_each_process(self)
        room_at_replicas(self)
        return self


def key_line(file: Path, key: str) -> str:
    """Where a key of a `config.yaml` stands, for messages; the first line where it is left out.

    Args:
        file: The file, which was read before.
        key: A key of the first level.
    """
    data = read(file)
    line = data.lc.key(key)[0] + 1 if key in data else 1
    return f"{file}:{line}, key {key}"
