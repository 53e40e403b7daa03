"""The routes that were applied last, as a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from openautoglm.errors import RouteError
from openautoglm.routing.routes import Routes

_ROUTES = TypeAdapter(Routes)


def text_of(routes: Routes) -> str:
    """What the file says."""
    return json.dumps(asdict(routes), indent=1) + "\n"


def read(path: Path) -> Routes | None:
    """The routes in a file; None when there is none, or none that could have been applied.

    A file that cannot be read is like none at all: applying routes writes it anew.
    """
    try:
        found = _ROUTES.validate_json(path.read_bytes(), strict=True)
        found.check()
    except (FileNotFoundError, ValidationError, RouteError):
        return None
    return found
