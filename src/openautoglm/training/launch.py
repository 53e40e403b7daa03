"""One process, or one a GPU through Accelerate."""

from __future__ import annotations

import os


def processes() -> int:
    """How many processes train this model together (1 unless a launcher started us)."""
    return int(os.environ.get("WORLD_SIZE", "1"))
