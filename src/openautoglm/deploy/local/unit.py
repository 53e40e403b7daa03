"""A process that the supervisor keeps alive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from openautoglm.artifacts.folder import write_text
from openautoglm.errors import ArtifactError
from openautoglm.routing.routes import Endpoint


class Unit(BaseModel):
    """A command with a name; another command has another name.

    Attributes:
        name: Unique in its service; letters, digits and dashes.
        kind: What it is.
        command: Program and arguments, absolute paths.
        environment: Variables over those of the supervisor.
        start_seconds: Whoever ends sooner is started again after a pause, and not for ever.
        stop_seconds: From SIGTERM to SIGKILL.
        release: Of a replica: key of the release it serves.
        settings: Of a replica: digest of its settings.
        host: Of a replica: where it listens.
        port: Of a replica: HTTP.
        grpc_port: Of a replica: gRPC.
        admin: Of a gateway: its admin socket.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")
    kind: Literal["controller", "gateway", "replica"]
    command: tuple[str, ...]
    environment: dict[str, str] = {}
    start_seconds: int = 5
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


_UNITS = TypeAdapter(list[Unit])


def read_units(path: Path) -> list[Unit]:
    """Units of a file; none when there is no file.

    Raises:
        ArtifactError: It is not readable.
    """
    try:
        return _UNITS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise ArtifactError(
            f"cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            hint=f"rm '{path}', then openautoglm deploy",
        ) from error


def write_units(path: Path, units: Iterable[Unit]) -> None:
    """Write them whole or not at all."""
    write_text(path, _UNITS.dump_json(list(units), indent=2).decode() + "\n")
