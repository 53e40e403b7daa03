"""The replay split as live traffic: one request a row, and its label a moment after the answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from openautoglm.client import AsyncClient, ReplicaError
from openautoglm.client.calls import Row

_REST = 3
"""A client rests this many times as long as its answer took: of four clients one is under way on
average. The challenger answers copies that nobody waits for, and must not fall behind because of
the champion's speed; and whatever else runs on the machine keeps most of it."""
_DELAY_SECONDS = 0.5
"""From an answer to its label: answers are written to the store some tenths of a second late."""
_LABELLERS = 4
_PAUSE_SECONDS = 0.05


@dataclass
class _Sent:
    answered: int = 0
    failed: int = 0
    labelled: int = 0
    refused: int = 0
    why: str = ""


class Replay:
    """Requests by some clients, row after row, again and again.

    Labels are told for one round, which begins when they can be taken in: what is told twice is no
    second observation.

    Args:
        url: The gateway's.
        rows: Texts, or rows of features, in the order in which they are sent.
        labels: The right class of each.
        clients: How many ask.

    Attributes:
        labels_are_told: Whether the round with labels has begun.
    """

    def __init__(
        self, url: str, rows: Sequence[Row], labels: Sequence[str], *, clients: int
    ) -> None:
        self._url, self._rows, self._labels, self._clients = url, rows, labels, clients
        self._next = self._round = self._done = 0
        self._due: deque[tuple[float, str, str]] = deque()
        self._sent = _Sent()
        self.labels_are_told = False

    def tell_labels(self) -> None:
        """Begin a round of every row with its label."""
        self.labels_are_told, self._round = True, self._next

    @property
    def whole(self) -> bool:
        """Whether every row has been sent in that round, and its label told or refused."""
        return self.labels_are_told and self._done >= len(self._rows)

    def told(self) -> str:
        """What has come of the traffic, in words."""
        sent = self._sent
        found = f"{sent.answered} requests answered, {sent.failed} failed, {sent.labelled} labels"
        return found + (f", {sent.refused} labels refused ({sent.why})" if sent.refused else "")

    async def run(self) -> None:
        """Send until cancelled."""
        # Retries would hide what is to be counted.
        async with AsyncClient(self._url, retries=0) as client, asyncio.TaskGroup() as tasks:
            for _ in range(self._clients):
                tasks.create_task(self._ask(client))
            for _ in range(_LABELLERS):
                tasks.create_task(self._tell(client))

    async def _ask(self, client: AsyncClient) -> None:
        while True:
            place, self._next = self._next, self._next + 1
            labelled = self.labels_are_told and place - self._round < len(self._rows)
            row, begun = place % len(self._rows), monotonic()
            try:
                found = await client.predict(self._rows[row])
            except ReplicaError:
                self._sent.failed += 1
                self._done += labelled
                await asyncio.sleep(_PAUSE_SECONDS)  # it may have failed at once
                continue
            self._sent.answered += 1
            if labelled:
                due = monotonic() + _DELAY_SECONDS
                self._due.append((due, found.request_id, self._labels[row]))
            await asyncio.sleep(_REST * (monotonic() - begun))

    async def _tell(self, client: AsyncClient) -> None:
        while True:
            if not self._due:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            due, request, label = self._due.popleft()
            await asyncio.sleep(max(0.0, due - monotonic()))
            try:
                await client.feedback(request, label)
                self._sent.labelled += 1
            except ReplicaError as error:
                self._sent.refused += 1
                self._sent.why = self._sent.why or error.what
            self._done += 1
