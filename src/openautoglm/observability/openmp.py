"""How long GNU's OpenMP, below torch, spins its threads at a barrier."""

from __future__ import annotations

import os


def spin_shortly() -> None:
    """Ask for a short spin; read when torch is loaded, here and in child processes.

    The default is milliseconds at every barrier. Beside another busy program that made an epoch
    of 15 s last 9 minutes; a short spin keeps both the 15 s and, in company, twice that.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
