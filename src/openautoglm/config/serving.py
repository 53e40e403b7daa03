"""How one replica serves: batching, bounds, deadlines, cache, traces and logs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from openautoglm.config.model import Settings, Share

Seconds = Annotated[float, Field(le=86_400)]


class Batching(Settings):
    """How waiting rows become calls of the model; the names and meanings are Triton's."""

    max_batch_size: int = Field(32, ge=1, le=4096, description="most rows in one call")
    preferred_batch_size: tuple[int, ...] = Field(
        (), description="sizes a call is cut to, and for which a batch waits while it may"
    )
    max_queue_delay_microseconds: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="longest a row waits for company while the model is free",
    )
    max_queue_rows: int = Field(
        512,
        ge=1,
        le=1_000_000,
        description="rows that may wait; requests beyond are refused with 429",
    )

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        sizes = self.preferred_batch_size
        if any(not 1 <= size <= self.max_batch_size for size in sizes):
            raise ValueError(
                f"`preferred_batch_size` holds sizes from 1 to max_batch_size "
                f"({self.max_batch_size}), found {list(sizes)}"
            )
        if len(set(sizes)) < len(sizes):
            raise ValueError("`preferred_batch_size` has one size twice")
        return self


class Limits(Settings):
    """Bounds on what one client can make the replica hold."""

    # gRPC takes sizes, counts and milliseconds as 32 bits with a sign.
    body_bytes: int = Field(1 << 20, ge=1024, le=1 << 30, description="largest body of a request")
    header_bytes: int = Field(
        16384, ge=1024, le=1 << 20, description="request line and headers together"
    )
    rows: int = Field(256, ge=1, le=65_536, description="texts or feature rows in one request")
    text_characters: int = Field(20_000, ge=1, le=10_000_000, description="characters of one text")
    depth: int = Field(8, ge=4, le=64, description="lists and objects inside one another")
    connections: int = Field(1024, ge=1, le=65_536, description="open connections")
    buffered_bytes: int = Field(
        64 << 20,
        ge=1 << 20,
        le=64 << 30,
        description="bodies and unread answers of all connections together",
    )
    request_seconds: Seconds = Field(
        10, ge=0.001, description="a request must arrive, and its answer be read, in this time"
    )
    idle_seconds: Seconds = Field(
        75, ge=0.001, description="an unused connection is kept this long"
    )

    @model_validator(mode="after")
    def _room_for_a_body(self) -> Self:
        if self.body_bytes > self.buffered_bytes:
            raise ValueError(
                f"`body_bytes` ({self.body_bytes}) is more than `buffered_bytes` "
                f"({self.buffered_bytes}): there would never be room for such a body"
            )
        return self


class Traces(Settings):
    """OpenTelemetry spans, sent to `OTEL_EXPORTER_OTLP_ENDPOINT` (OTLP over HTTP)."""

    ratio: Share = Field(
        0.01,
        description="share of requests that are traced, where the caller did not decide",
    )


class Serving(Settings):
    """Everything about a replica but its model and its ports."""

    batching: Batching = Field(Batching(), description="how rows become calls of the model")
    limits: Limits = Field(Limits(), description="bounds on what a client can ask for")
    traces: Traces = Field(Traces(), description="OpenTelemetry spans")
    timeout_ms: int = Field(
        5000, ge=1, le=600_000, description="deadline of a request that brings none of its own"
    )
    drain_seconds: Seconds = Field(
        30, ge=0, description="after SIGTERM, time for what is under way to end"
    )
    cache_entries: int = Field(
        0, ge=0, le=10_000_000, description="answers kept for texts that come again; 0 keeps none"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads inside one call of the model")
    access_log: Literal["all", "traced", "none"] = Field(
        "traced",
        description="which answered requests get a line in the log, health checks with `all` only; "
        "a fault always gets one",
    )
