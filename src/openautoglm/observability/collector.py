"""Python's garbage collector where it has nothing to find: at the beginning and end of a process.

Both are seconds of each step, since torch, transformers and MLflow are millions of objects.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Collect nothing meanwhile: nearly all that an import makes stays."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def leave_at_once() -> None:
    """Collect nothing when the interpreter ends: the system takes the memory back as it is.

    What asked for an end of its own (`atexit`, open files, threads) still has it.
    """
    # Each object is then one that the collector need not look at.
    atexit.register(gc.freeze)
