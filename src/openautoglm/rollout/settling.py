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
    """What a rollout made the champion, and which one."""

    id: int
    release: Release


def promoted(records: Sequence[Record]) -> Promoted | None:
    """The last promotion, while what it promoted serves; None when there is none."""
    for record in reversed(records):
        if record.kind == "delete":
            return None
        if record.rollout and record.rollout.state == "promoted":
            champion = record.releases["champion"]
            serves = records[-1].releases["champion"].key == champion.key
            return Promoted(record.rollout.id, champion) if serves else None
    return None


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
        told = [record.time for record in records if record.rollout]
        if self._process or not told or told[-1] == self._done:
            return
        if monotonic() >= self._due:
            self._asked = told[-1]
            project, name = self._folder.project, self._folder.name
            self._process = subprocess.Popen(
                [
                    *(interpreter(), "-m", "openautoglm", "--project", str(project.root)),
                    *("rollout", "settle", name),
                ]
            )

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
        _log.warning("MLflow does not follow yet: tried again", extra={"code": code})
        self._due, self._pause = monotonic() + self._pause, min(2 * self._pause, _MOST_SECONDS)
