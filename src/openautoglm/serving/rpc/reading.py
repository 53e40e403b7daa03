"""Messages that arrive: how many at once, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from openautoglm.serving.refusals import SLOW, Refusal

_HURRIED_SECONDS = 1.0


class Reading:
    """Places for messages that arrive.

    gRPC does not say whether a message has begun, so a client that sends none holds a place too:
    briefly, as soon as another waits for one.

    Args:
        places: Messages at once.
        seconds: In which one arrives while no other waits.
    """

    def __init__(self, places: int, seconds: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._seconds = seconds
        self._hurried = min(_HURRIED_SECONDS, seconds)
        self._waiting = 0
        self._ends: set[asyncio.Timeout] = set()

    async def read(self, message: Callable[[], Awaitable[Any]]) -> Any:
        """One message; to wait for a place is no part of its time.

        Raises:
            Refusal: SLOW.
        """
        await self._place()
        try:
            async with asyncio.timeout(self._hurried if self._waiting else self._seconds) as end:
                self._ends.add(end)
                try:
                    return await message()
                finally:
                    self._ends.discard(end)
        except TimeoutError:
            times = f"{self._seconds:g} seconds, {self._hurried:g} where others wait"
            raise Refusal(SLOW, "the message did not come in time", allowed=times) from None
        finally:
            self._places.release()

    async def _place(self) -> None:
        if self._places.locked() and not self._waiting:
            self._hurry()
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    def _hurry(self) -> None:
        """Those that began while no other waited get the shorter time, from now on."""
        soon = asyncio.get_running_loop().time() + self._hurried
        for end in self._ends:
            when = end.when()
            if when is not None and when > soon and not end.expired():
                end.reschedule(soon)
