"""How a server ends without a call that gRPC cancels."""

from __future__ import annotations

import asyncio

_LOOK_SECONDS = 0.05
_QUIET_LOOKS = 5  # without a new call: no client is just about to send one
_LONGEST_SECONDS = 0.75  # for which new calls wait where clients never pause


class Ending:
    """What new calls do once a server is to end.

    Calls that gRPC's core has not handed over when the server is told to stop, or that meet the
    news on their way, end as CANCELLED (grpc/grpc#41785), which clients do not try again. So new
    calls are taken and kept waiting until none has come for a while. Then gRPC tells its clients to
    call elsewhere, and only after that are those that wait let go.
    """

    def __init__(self) -> None:
        self._begun = False
        self._told = asyncio.Event()
        self._late = 0

    async def late(self) -> bool:
        """Whether a new call came after the end had begun; such a one waits here."""
        if not self._begun:
            return False
        self._late += 1
        await self._told.wait()
        return True

    async def begin(self, seconds: float) -> None:
        """Let new calls wait until no more come, or the time is over."""
        self._begun = True
        clock = asyncio.get_running_loop().time
        end = clock() + min(_LONGEST_SECONDS, seconds)
        quiet = 0
        # Looks are counted and not time, in which a busy event loop may have seen nothing.
        while quiet < _QUIET_LOOKS and clock() < end:
            before = self._late
            await asyncio.sleep(_LOOK_SECONDS)
            quiet = quiet + 1 if self._late == before else 0

    def let_go(self) -> None:
        """Clients know: what waits goes on."""
        self._told.set()
