"""The replay split as live traffic: one request a row, and its label a moment after the answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from openautoglm.client import AsyncClient, ReplicaError
from openautoglm.client.calls import Row

_DELAY_SECONDS = 0.5
"""From an answer to its label: answers are written to the store some tenths of a second late."""
_LABELLERS = 4
_PAUSE_SECONDS = 0.05


@dataclass
class Sent:
    """What has come of the traffic so far.

    Attributes:
        answered: Requests that were answered.
        failed: Requests that were not; the gateway counts them too, by version.
        labelled: Answers whose label was kept.
        unlabelled: Answers whose label was refused.
    """

    answered: int = 0
    failed: int = 0
    labelled: int = 0
    unlabelled: int = 0


class Replay:
    """Requests by some clients in a closed loop, row after row, again and again.

    Labels are told in the first round only: what is told twice is no second observation.

    Args:
        url: The gateway's.
        rows: Texts, or rows of features, in the order in which they are sent.
        labels: The right class of each.
        clients: Requests under way at a time.
    """

    def __init__(
        self, url: str, rows: Sequence[Row], labels: Sequence[str], *, clients: int
    ) -> None:
        self._url, self._rows, self._labels, self._clients = url, rows, labels, clients
        self._next = 0
        self._told: deque[tuple[float, str, str]] = deque()
        self.sent = Sent()

    @property
    def whole(self) -> bool:
        """Whether every row has been sent once, and what has a label has been told it."""
        done = self.sent.labelled + self.sent.unlabelled + self.sent.failed
        return self._next >= len(self._rows) and done >= len(self._rows)

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
            try:
                found = await client.predict(self._rows[place % len(self._rows)])
            except ReplicaError:
                self.sent.failed += 1
                await asyncio.sleep(_PAUSE_SECONDS)  # it may have failed at once
                continue
            self.sent.answered += 1
            if place < len(self._rows):
                due = monotonic() + _DELAY_SECONDS
                self._told.append((due, found.request_id, self._labels[place]))

    async def _tell(self, client: AsyncClient) -> None:
        while True:
            if not self._told:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            due, request, label = self._told.popleft()
            await asyncio.sleep(max(0.0, due - monotonic()))
            try:
                await client.feedback(request, label)
                self.sent.labelled += 1
            except ReplicaError:
                self.sent.unlabelled += 1
