"""Wait for something that must happen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds after which something that must happen has not. It measures nothing: it costs nothing
when all is well, and a busy machine may stand still for seconds anywhere."""


def until(condition: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """The first true value of a condition; without one in time, a failure that says `what`."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < end, what or "it did not happen in time"
        pause.wait(0.01)
    return found
