"""MLflow follows the ledger, however long that takes: the alias after a promotion, and the runs.

MLflow takes seconds and memory to import, and may be down: a process of its own does it, and
traffic waits for nothing.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from openautoglm.deploy.ledger import Record
from openautoglm.deploy.local.folder import ServiceFolder, interpreter
from openautoglm.deploy.release import Release

_log = logging.getLogger("openautoglm.rollout")
_AGAIN_SECONDS, _MOST_SECONDS = 15.0, 600.0


class Promoted(NamedTuple):
    """What a rollout made the champion, which one, and when."""

    id: int
    release: Release
    time: str


def promoted(records: Sequence[Record]) -> Promoted | None:
    """The last promotion, while what it promoted serves; None when there is none."""
    for record in reversed(records):
        if record.kind == "delete":
            return None
        if record.rollout and record.rollout.state == "promoted":
            champion = record.releases["champion"]
            serves = records[-1].releases["champion"].key == champion.key
            return Promoted(record.rollout.id, champion, record.time) if serves else None
    return None


def since_delete(records: Sequence[Record]) -> list[Record]:
    """The records of the service as it is: those after the last time that it was deleted."""
    places = [place for place, record in enumerate(records) if record.kind == "delete"]
    return list(records[places[-1] + 1 :] if places else records)


class Settler:
    """Starts `openautoglm rollout settle` after each decision, again until it succeeds.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: object = None
        self._done: object = None
        self._due, self._pause = 0.0, _AGAIN_SECONDS

    def step(self, records: Sequence[Record]) -> None:
        """Start it when it is due; never waits."""
        if self._process is not None:
            self._look_at(self._process)
        told = [record.time for record in since_delete(records) if record.rollout]
        if self._process or not told or told[-1] == self._done:
            return
        if monotonic() >= self._due:
            self._asked = told[-1]
            project, name = self._folder.project, self._folder.name
            command = [
                *(interpreter(), "-m", "openautoglm", "--project", str(project.root)),
                *("rollout", "settle", name),
            ]
            try:
                self._process = subprocess.Popen(command)
            except OSError as error:
                self._failed(str(error))

    def close(self) -> None:
        """End the process, if there is one; a successor starts it again."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _look_at(self, process: subprocess.Popen[bytes]) -> None:
        code = process.poll()
        if code is None:
            return
        self._process = None
        if code == 0:
            self._done, self._pause, self._due = self._asked, _AGAIN_SECONDS, 0.0
            return
        self._failed(f"it ended with {code}")

    def _failed(self, why: str) -> None:
        _log.warning("MLflow does not follow yet: tried again", extra={"why": why})
        self._due, self._pause = monotonic() + self._pause, min(2 * self._pause, _MOST_SECONDS)
