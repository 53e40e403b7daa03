"""Whether replicas take requests, and which of them hang."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from openautoglm.deploy.local.load import age
from openautoglm.deploy.local.supervisor import Program
from openautoglm.deploy.local.unit import Unit

_ANSWER_SECONDS = 1.0
_ALL_SECONDS = 2.0
_MOST_THREADS = 256
_LATE_TIMES = 3
_HUNG_SECONDS = 10.0
_LOADING_SECONDS = 120.0

Answer = Literal["ready", "not ready", "refused", "late"]


@dataclass
class _Seen:
    """What is known of one process of a unit; the next one begins anew."""

    pid: int | None
    answer: Answer = "refused"
    ready: bool = False
    started: bool = False
    late: int = 0
    since: float | None = None


def ask(unit: Unit, digest: str | None) -> Answer:
    """Ask one replica, over HTTP, whether it takes requests.

    Args:
        unit: Which one.
        digest: Of what it is to serve. An answer counts only with this one: after a crash, some
            other program may have its port. None takes any.
    """
    connection = http.client.HTTPConnection(unit.host, unit.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        answer = connection.getresponse()
        answer.read()
        if digest is not None and answer.getheader("x-model-digest") != digest:
            return "refused"
        return "ready" if answer.status == 200 else "not ready"
    except (ConnectionError, http.client.HTTPException):
        return "refused"
    except OSError:
        return "late"
    finally:
        connection.close()


class Health:
    """Asks replicas, and remembers what no other look could tell.

    A replica listens once its model is loaded. So one that is connected to and does not answer
    hangs when that lasts for ten seconds; one that refuses is loading, and hangs when its process
    is two minutes old. Nothing of that is lost with the controller, but a part of the ten seconds.

    Args:
        asking: `ask`.
        clock: Seconds; any zero.
        age: Seconds since a process was started, None when there is none.
    """

    def __init__(
        self,
        asking: Callable[[Unit, str | None], Answer] = ask,
        clock: Callable[[], float] = monotonic,
        age: Callable[[int], float | None] = age,
    ) -> None:
        self._ask = asking
        self._clock = clock
        self._age = age
        self._pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="health")
        self._seen: dict[str, _Seen] = {}

    def look(
        self,
        units: Sequence[Unit],
        programs: Mapping[str, Program],
        digests: Mapping[str, str],
    ) -> set[str]:
        """Ask all at once, two seconds at most; what is known of other units is forgotten.

        Args:
            units: Replicas.
            programs: What the supervisor knows of them.
            digests: Digest by release key; a release that is not here is asked for none.

        Returns:
            Names of those that are ready. A refusal counts at once; an answer that only comes
            late costs a ready one its place the third time in a row.
        """
        asked = [self._pool.submit(self._ask, unit, digests.get(unit.release)) for unit in units]
        wait(asked, timeout=_ALL_SECONDS)
        known, self._seen = self._seen, {}
        for unit, one in zip(units, asked, strict=True):
            seen, pid = known.get(unit.name), programs[unit.name].pid
            if seen is None or seen.pid != pid:
                seen = _Seen(pid)
            self._take(seen, one.result() if one.done() else "late")
            self._seen[unit.name] = seen
        return {name for name, seen in self._seen.items() if seen.ready}

    def started(self, unit: str) -> bool:
        """Whether a unit's process was ready once."""
        return unit in self._seen and self._seen[unit].started

    def hung(self) -> set[str]:
        """Units that have to be killed to be of any use again."""
        return {name for name, seen in self._seen.items() if self._hangs(seen)}

    def _take(self, seen: _Seen, answer: Answer) -> None:
        seen.answer = answer
        seen.late = seen.late + 1 if answer == "late" else 0
        if answer in ("late", "refused"):
            seen.since = self._clock() if seen.since is None else seen.since
        else:
            seen.since = None
        seen.ready = answer == "ready" or (seen.ready and 0 < seen.late < _LATE_TIMES)
        seen.started |= seen.ready

    def _hangs(self, seen: _Seen) -> bool:
        if seen.pid is None or seen.since is None or self._clock() - seen.since < _HUNG_SECONDS:
            return False
        return seen.answer == "late" or (self._age(seen.pid) or 0) > _LOADING_SECONDS
