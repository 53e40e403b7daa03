"""`service.json`: how a service is to be served; the ledger says what, and with which weights."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from openautoglm import __version__
from openautoglm.artifacts.folder import write_text
from openautoglm.config.service import Service
from openautoglm.errors import ArtifactError


class Desired(BaseModel):
    """What the last deploy wants.

    Attributes:
        generation: One more with every change; the controller tells which one it has reached.
        name: The service's name.
        code: Version and place of the code that serves; another one replaces the processes.
        service: `config.yaml`, defaults filled in.
        settles: Whether MLflow follows its rollouts while it serves. A canary's step does that
            itself at its end, and moves the alias only if it may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: int
    name: str
    code: str = ""
    service: Service
    settles: bool = True


def this_code() -> str:
    """Version and place of this very code."""
    return f"{__version__} in {sys.prefix}"


def write_desired(path: Path, desired: Desired) -> None:
    """Write it whole or not at all; the URL of a store may hold a password."""
    write_text(path, desired.model_dump_json(indent=2) + "\n", secret=True)


def read_desired(path: Path) -> Desired | None:
    """Read it back; None when there is none.

    Raises:
        ArtifactError: It is not readable.
    """
    try:
        return Desired.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(
            f"cannot be read: {str(error).splitlines()[0]}",
            where=str(path),
            hint="openautoglm deploy writes it anew",
        ) from error
