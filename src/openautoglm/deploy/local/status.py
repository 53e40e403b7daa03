"""`status.json`: what the controller sees and does, for whoever waits or looks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm.artifacts.folder import write_text
from openautoglm.deploy.ledger import now as now
from openautoglm.deploy.release import Release, Role

State = Literal["starting", "ready", "not ready", "failing", "stopping"]


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessStatus(_Seen):
    """One process.

    Attributes:
        unit: Its name.
        kind: What it is.
        pid: None while it does not run.
        state: What it does.
        release: Of a replica: key of what it serves.
        port: Of a replica: HTTP.
        cpu: Of a replica: share of its threads that was in use; None while not known.
    """

    unit: str
    kind: str
    pid: int | None
    state: State
    release: str = ""
    port: int = 0
    cpu: float | None = None


class RoleStatus(_Seen):
    """What a role serves, and its share of the requests in force."""

    release: Release
    weight: int
    shadow: int = 0
    wanted: int
    ready: int


class Status(_Seen):
    """Everything.

    Attributes:
        time: When this was written, ISO 8601 in UTC.
        generation: Of `service.json`, as the controller has read it.
        records: Of the ledger, as many as it has read.
        healthy: All of that is in force, and every process is ready.
        doing: What is under way, for people.
        problems: What is wrong, for people.
        url: Where clients ask.
        replicas: How many of the champion are wanted.
        roles: By role.
        processes: Replicas and gateways.
    """

    time: str
    generation: int
    records: int
    healthy: bool
    doing: str
    problems: tuple[str, ...]
    url: str
    replicas: int
    roles: dict[Role, RoleStatus]
    processes: tuple[ProcessStatus, ...]


def write_status(path: Path, status: Status) -> None:
    """Write it whole or not at all."""
    write_text(path, status.model_dump_json(indent=2) + "\n")


def read_status(path: Path) -> Status | None:
    """What was written last; None when there is none, or none of this version."""
    try:
        return Status.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
