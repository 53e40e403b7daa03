"""What calls under way may hold: their number, and the bytes of their messages and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from openautoglm.config.serving import Limits
from openautoglm.serving.refusals import OVERLOADED, Refusal
from openautoglm.serving.rpc.reading import Reading

_FEWEST_READ = 8  # messages at once


class Gate:
    """Admission of calls.

    A message counts once it is there. Messages that still arrive are not seen yet, so only so many
    are read at once as fit the bound at their largest; the others wait in flow control, where they
    hold a small window each.

    Args:
        calls: Most at once.
        limits: Bounds on bytes.
        seconds: In which a message arrives.

    Attributes:
        reading: Of the calls' messages.
    """

    def __init__(self, calls: int, limits: Limits, *, seconds: float) -> None:
        places = max(_FEWEST_READ, limits.buffered_bytes // limits.body_bytes)
        self._calls = calls
        self._bytes = limits.buffered_bytes
        self.reading = Reading(places, min(seconds, limits.request_seconds))

    def enter(self) -> Place:
        """A place for a call.

        Raises:
            Refusal: OVERLOADED.
        """
        if not self._calls:
            raise Refusal(OVERLOADED, "too many calls at once")
        self._calls -= 1
        return Place(self)

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            Refusal: OVERLOADED.
        """
        if size > self._bytes:
            raise Refusal(OVERLOADED, "too many bytes of calls at once")
        self._bytes -= size

    def leave(self, size: int) -> None:
        """A call is over, and the bytes it held last are free."""
        self._bytes += size
        self._calls += 1


class Place:
    """What one call holds, until it is over: its message, then its answer until that is sent."""

    __slots__ = ("_gate", "_size")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._size = 0

    async def read(self, message: Callable[[], Awaitable[Any]]) -> Any:
        """The call's message.

        Raises:
            Refusal: SLOW.
        """
        return await self._gate.reading.read(message)

    def hold(self, size: int) -> None:
        """Hold so many bytes instead of those before.

        Raises:
            Refusal: OVERLOADED.
        """
        self._gate.take(size - self._size)
        self._size = size

    def leave(self, _: object) -> None:
        """The call is over; gRPC calls this with it."""
        self._gate.leave(self._size)
