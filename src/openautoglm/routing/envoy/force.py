"""Writing watched files, and waiting until every running gateway has what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from openautoglm.artifacts.folder import write_text
from openautoglm.errors import RouterError
from openautoglm.routing.envoy import admin as gateway
from openautoglm.routing.envoy.layout import Resource, text_of

_ASK_AGAIN = 0.002
_REFUSED = ("update_rejected", "update_failure")
_WARMING = ("cluster_manager.warming_clusters", "listener_manager.total_listeners_warming")
_TOLD = (
    r"^(cluster\.[^.]+|cluster_manager\.cds|listener_manager\.lds|http\.gateway\.rds\.routes)\."
    rf"(version_text|{'|'.join(_REFUSED)})$|^({'|'.join(_WARMING)})$"
)

Stats = Mapping[str, int | str]


class Force:
    """Puts files into force.

    Args:
        admins: Admin sockets of the gateways there should be now.
        seconds: How long they may take.
    """

    def __init__(self, admins: Callable[[], Sequence[Path]], seconds: float) -> None:
        self._admins = admins
        self._seconds = seconds

    def put(self, resources: Sequence[Resource]) -> None:
        """Write the files that differ, in this order, and wait until all of them are in force.

        Raises:
            RouterError: A gateway refused one, and all are as they were; or one did not say in
                time that it has them.
        """
        was = {one.path: text_of(one.path) for one in resources}
        changed = [one for one in resources if was[one.path] != one.text]
        before = {one: _counts(one) for one in self._admins()} if changed else {}
        for one in changed:
            write_text(one.path, one.text)
        refused = self._settle(resources, before)
        if refused:
            # A gateway that starts later must find what the others go on with.
            for one in reversed(changed):
                _restore(one.path, was[one.path])
            raise refused

    def _settle(
        self, wanted: Sequence[Resource], before: Mapping[Path, Stats]
    ) -> RouterError | None:
        """Wait; what comes back is why a gateway refused them.

        Raises:
            RouterError: It took too long.
        """
        deadline = time.monotonic() + self._seconds
        waiting = list(self._admins())
        while waiting:
            admin = waiting[-1]
            try:
                found = gateway.stats(admin, _TOLD)
            except gateway.GoneError:
                waiting.pop()  # it reads the files when it starts
                continue
            except RouterError:
                found = {}
            refused = _refused(wanted, found, before.get(admin, {}))
            if refused:
                return _error(admin, refused)
            missing = _missing(wanted, found)
            if not missing:
                waiting.pop()
            elif time.monotonic() > deadline:
                raise RouterError(
                    f"the gateway did not take {missing} within {self._seconds:g} seconds",
                    where=str(admin),
                    hint="the same again; the gateway's log says what it does",
                )
            else:
                time.sleep(_ASK_AGAIN)
        return None


def _counts(admin: Path) -> Stats:
    try:
        return gateway.stats(admin, _TOLD)
    except RouterError:
        return {}


def _refused(wanted: Sequence[Resource], found: Stats, before: Stats) -> Resource | None:
    for one in wanted:
        names = [f"{one.scope}.{count}" for count in _REFUSED]
        more = any(int(found.get(name, 0)) > int(before.get(name, 0)) for name in names)
        # An older refusal is of another file, if this one is in force.
        if more and found.get(f"{one.scope}.version_text") != one.version:
            return one
    return None


def _missing(wanted: Sequence[Resource], found: Stats) -> str | None:
    """The file, or the warming, that is still waited for."""
    for one in wanted:
        if found.get(f"{one.scope}.version_text") != one.version:
            return one.path.name
    return next((name for name in _WARMING if found.get(name)), None)


def _error(admin: Path, refused: Resource) -> RouterError:
    try:
        words = "; ".join(gateway.refusals(admin))
    except RouterError:
        words = ""
    return RouterError(
        f"the gateway refused {refused.path.name}" + (f": {words}" if words else ""),
        where=str(admin),
        hint=None if words else "the gateway's log says why",
    )


def _restore(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        write_text(path, text)
