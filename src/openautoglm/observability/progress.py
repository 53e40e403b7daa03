"""Lines for the person who waits, on standard error: `[train] epoch 3/8 ...`."""

from __future__ import annotations

import sys
from contextvars import ContextVar

_step: ContextVar[str] = ContextVar("step", default="openautoglm")


def working_on(name: str) -> None:
    """Name the step that the following lines belong to."""
    _step.set(name)


def say(message: str) -> None:
    """Print one line of progress."""
    print(f"[{_step.get()}] {message}", file=sys.stderr, flush=True)
