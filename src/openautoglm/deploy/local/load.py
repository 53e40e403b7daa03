"""How busy replicas are, and how old."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import psutil


class _Look(NamedTuple):
    pid: int
    created: float
    at: float
    used: float


class Load:
    """CPU use of replicas between one look and the next.

    Args:
        clock: Seconds; any zero.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[str, _Look] = {}

    def look(self, pids: Mapping[str, int | None], *, threads: int) -> dict[str, float | None]:
        """Share of its `threads` cores that each replica used since the last look.

        Args:
            pids: Process ids by replica.
            threads: CPU threads of each.

        Returns:
            From 0, and somewhat above 1 where a replica does more than compute; None where
            nothing is known yet: a replica seen for the first time, started again, or gone.
        """
        last, self._looks = self._looks, {}
        shares: dict[str, float | None] = dict.fromkeys(pids)
        for name, pid in pids.items():
            now = self._read(pid)
            if now is None:
                continue
            self._looks[name] = now
            then = last.get(name)
            if then and (then.pid, then.created) == (now.pid, now.created) and now.at > then.at:
                shares[name] = (now.used - then.used) / (now.at - then.at) / threads
        return shares

    def _read(self, pid: int | None) -> _Look | None:
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            return _Look(pid, process.create_time(), self._clock(), times.user + times.system)
        except psutil.Error:
            return None


def age(pid: int) -> float | None:
    """Seconds since a process was started; None when there is none."""
    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.Error:
        return None
