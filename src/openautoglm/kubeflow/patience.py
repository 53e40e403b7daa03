"""How long a server that does not answer is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from openautoglm.observability.progress import say


@dataclass(frozen=True)
class Patience:
    """How long a server that does not answer is asked again.

    Attributes:
        attempts: Of one request, the first included.
        seconds: For one request with all its attempts and pauses; none begins later.
        first: The first pause in seconds; each is about twice as long as the one before.
        longest: No pause is longer, unless the server asks for it.
        sleep: How to wait.
        clock: What the time is, in seconds.
        chance: A number from 0 to 1, by which pauses differ between callers.
    """

    attempts: int = 6
    seconds: float = 90.0
    first: float = 0.5
    longest: float = 10.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    chance: Callable[[], float] = field(default=random.random, repr=False)

    def turns(self) -> Iterator[Turn]:
        """The attempts; ask the turn to `rest` after each that failed."""
        end = self.clock() + self.seconds
        for number in range(self.attempts):
            yield Turn(self, number, end)


@dataclass(frozen=True)
class Turn:
    """One attempt of a request.

    Attributes:
        patience: Whose.
        number: From 0.
        end: When patience ends, by its clock.
    """

    patience: Patience
    number: int
    end: float

    def rest(self, why: str, asked: float | None = None) -> bool:
        """Wait before the next attempt, and say so.

        Args:
            why: What went wrong.
            asked: Seconds that the server asked for.

        Returns:
            Whether there is a next one; without one nothing was waited for.
        """
        mine = self.patience
        pause = min(mine.longest, mine.first * 2**self.number) * (0.5 + mine.chance() / 2)
        pause = max(pause, asked or 0.0)
        if self.number + 1 >= mine.attempts or mine.clock() + pause >= self.end:
            return False
        say(f"{why}; again in {pause:.1f} s")
        mine.sleep(pause)
        return True
