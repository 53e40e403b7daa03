"""`config.yaml`: how a model is served."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from openautoglm.config.model import Settings
from openautoglm.config.serving import Seconds, Serving

ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _percent(found: Any) -> Any:
    """`70%` as YAML has it, a text, becomes 70.0."""
    match = _PERCENT.fullmatch(found.strip()) if isinstance(found, str) else None
    if match is None:
        raise ValueError("a percentage, such as 70%")
    return float(match[1])


Percent = Annotated[
    float, BeforeValidator(_percent), PlainSerializer(lambda share: f"{share:g}%", return_type=str)
]


class Pipeline(Settings):
    """What the model does, checked against the model itself."""

    task: Literal["text-classification", "tabular-classification"] = Field(
        "text-classification", description="texts, or rows of numbers"
    )
    labels: tuple[str, ...] | None = Field(
        None, min_length=2, description="the classes the model must have; null takes the model's"
    )


class Autoscale(Settings):
    """Replicas follow the load, as Kubernetes' HorizontalPodAutoscaler does it."""

    cpu_threshold: Annotated[Percent, Field(gt=0, le=100)] = Field(
        description="CPU use to keep a replica at, in percent of its `serving.threads`"
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
        return self


class Retries(Settings):
    """Predictions have no effect, so one that met a dead replica is asked for again."""

    attempts: int = Field(2, ge=0, le=10, description="after the first; 0 never retries")
    budget_percent: Annotated[Percent, Field(gt=0, le=100)] = Field(
        25.0, description="retries under way, at most, of the requests under way"
    )
    budget_floor: int = Field(
        128, ge=1, le=100_000, description="retries that may be under way whatever the budget says"
    )


class Breakers(Settings):
    """Bounds on what is under way to one variant; beyond, 503."""

    requests: int = Field(1024, ge=1, le=1_000_000, description="requests under way")
    pending: int = Field(
        1024, ge=1, le=1_000_000, description="requests that wait for a connection"
    )
    connections: int = Field(1024, ge=1, le=1_000_000, description="connections to replicas")


class Ejection(Settings):
    """A replica that keeps failing gets no requests for a while."""

    consecutive_failures: int = Field(
        5, ge=0, le=1000, description="500s, resets or refused connections in a row; 0 never ejects"
    )
    seconds: Seconds = Field(5, ge=0.1, description="the first time; the n-th time n times as long")
    max_percent: int = Field(50, ge=1, le=100, description="of a variant's replicas, at most")


class GatewayLimits(Settings):
    """Bounds on what clients can make the gateway hold."""

    requests_per_second: int | None = Field(
        None, ge=1, le=10_000_000, description="requests taken; beyond, 429. null sets no bound"
    )
    connections: int = Field(4096, ge=1, le=1_000_000, description="open connections")
    header_bytes: int = Field(
        16384, ge=1024, le=98304, description="request line and headers together"
    )
    idle_seconds: Seconds = Field(75, ge=1, description="an unused connection is kept this long")
    request_seconds: Seconds = Field(10, ge=0.1, description="a request must arrive in this time")


class Gateway(Settings):
    """Envoy, before the replicas."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
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
    timeout_ms: int = Field(10_000, ge=1, le=3_600_000, description="longest a request may take")
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
            raise ValueError(
                f"`replicas` ({self.replicas}) is not between `autoscale.min_replicas` "
                f"({scale.min_replicas}) and `autoscale.max_replicas` ({scale.max_replicas})"
            )
        return self
