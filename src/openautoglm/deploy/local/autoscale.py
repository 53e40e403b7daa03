"""How many replicas the load calls for, as Kubernetes' HorizontalPodAutoscaler decides it.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

from __future__ import annotations

import math
from collections import deque

from openautoglm.config.service import Autoscale

_TOLERANCE = 0.1
_SILENCE = 15.0
_ROUNDING = 1e-9


class Autoscaler:
    """Follows the load of one service, with hysteresis.

    Args:
        settings: Target, bounds, and how long load must call for a change.
    """

    def __init__(self, settings: Autoscale) -> None:
        self._settings = settings
        # Each count that was called for, from which time on; oldest first, and back to the one
        # that held when the longer window began.
        self._called: deque[tuple[float, int]] = deque()
        self._last = -math.inf

    def decide(self, current: int, measured: float | None, now: float) -> int:
        """Replicas to have from now on.

        More only when every measurement of the last `scale_up_seconds` called for more, and then
        as many as the most modest of them; fewer likewise. Without a measurement nothing changes,
        nor before a whole window has been seen.

        Args:
            current: Replicas there are to be now, whether or not they are ready.
            measured: Mean CPU use of those that are ready, in percent of their threads; None when
                it is not known.
            now: Seconds; any zero, never backwards.

        Returns:
            A count between `min_replicas` and `max_replicas`.
        """
        current = self._clamp(current)
        if now - self._last > _SILENCE:
            self._called.clear()  # nobody knows what the load was
        self._last = now
        wanted = self._wanted(current, measured)
        if not self._called or self._called[-1][1] != wanted:
            self._called.append((now, wanted))
        up, down = self._settings.scale_up_seconds, self._settings.scale_down_seconds
        self._forget(now - max(up, down))
        more = min(self._since(now - up), default=current)
        fewer = max(self._since(now - down), default=current)
        return more if more > current else min(fewer, current)

    def _wanted(self, current: int, measured: float | None) -> int:
        target = self._settings.cpu_threshold
        # Use cannot be much more than 100 %: near it, less must do to call for another replica.
        above = min(_TOLERANCE, (100 / target - 1) / 2)
        if measured is None or 1 - _TOLERANCE <= measured / target <= 1 + above:
            return current
        return self._clamp(math.ceil(current * measured / target - _ROUNDING))

    def _clamp(self, count: int) -> int:
        return min(max(count, self._settings.min_replicas), self._settings.max_replicas)

    def _since(self, begin: float) -> list[int]:
        """What was called for from `begin` on; nothing unless it is known for the whole time."""
        if self._called[0][0] > begin:
            return []
        before = max(at for at, _ in self._called if at <= begin)
        return [count for at, count in self._called if at >= before]

    def _forget(self, begin: float) -> None:
        while len(self._called) > 1 and self._called[1][0] <= begin:
            self._called.popleft()
