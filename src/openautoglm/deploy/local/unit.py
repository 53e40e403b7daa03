"""A process that the supervisor keeps alive."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from openautoglm.routing.routes import Endpoint


class Unit(BaseModel):
    """A command with a name; another command has another name.

    Attributes:
        name: Unique in its service; letters, digits and dashes.
        kind: What it is.
        command: Program and arguments, absolute paths.
        environment: Variables over those of the supervisor.
        stop_seconds: From SIGTERM to SIGKILL.
        release: Of a replica: key of the release it serves.
        settings: Of a replica: digest of its settings.
        host: Of a replica: where it listens.
        port: Of a replica: HTTP.
        grpc_port: Of a replica: gRPC.
        admin: Of a gateway: its admin socket.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["controller", "gateway", "replica"]
    command: tuple[str, ...]
    environment: dict[str, str] = {}
    stop_seconds: float = 10.0
    release: str = ""
    settings: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = 0
    admin: str = ""

    @property
    def endpoint(self) -> Endpoint:
        """Where a replica is asked."""
        return Endpoint(self.host, self.port, self.grpc_port)
