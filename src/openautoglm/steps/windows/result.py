"""`window.json`: what was found in a window, as its report has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openautoglm.errors import ArtifactError

RESULT = "window.json"


def read_result(folder: Path) -> dict[str, Any]:
    """`window.json` of a report.

    Raises:
        ArtifactError: The folder holds none.
    """
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"this is no report of a window: {error}", where=str(folder / RESULT)
        ) from error
    return found
