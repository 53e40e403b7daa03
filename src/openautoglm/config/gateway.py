"""The gateway's part of `config.yaml`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from openautoglm.config.bounds import (
    ADDED_HEADER_BYTES,
    OTHER_CONNECTIONS,
)
from openautoglm.config.model import Settings, without_effect
from openautoglm.config.percent import Percent
from openautoglm.config.serving import Seconds


def _address(found: str) -> str:
    try:
        ip_address(found)
    except ValueError:
        raise ValueError(
            f"found {found!r}, which is no IP address such as 127.0.0.1 or 0.0.0.0"
        ) from None
    return found


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
            without_effect(self, ("budget_percent", "budget_floor"), "attempts: 0")
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
            without_effect(self, ("seconds", "max_percent"), "consecutive_failures: 0")
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
