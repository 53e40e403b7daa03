"""The routes that were applied last, as a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from openautoglm.routing.routes import Endpoint, Routes, Shadow


def text_of(routes: Routes) -> str:
    """What the file says."""
    return json.dumps(asdict(routes), indent=1) + "\n"


def read(path: Path) -> Routes | None:
    """The routes in a file; None when there is none, or not a whole one.

    A file that cannot be read is like none at all: applying routes writes it anew.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        variants = {
            name: tuple(Endpoint(**one) for one in places)
            for name, places in found["variants"].items()
        }
        shadow = Shadow(**found["shadow"]) if found["shadow"] else None
        return Routes(variants, found["weights"], shadow)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
