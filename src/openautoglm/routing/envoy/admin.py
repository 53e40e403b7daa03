"""Questions to a running gateway, over the unix socket of its admin interface."""

from __future__ import annotations

import json
from http.client import HTTPException
from pathlib import Path
from socket import SO_PEERCRED, SOL_SOCKET
from struct import Struct
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from openautoglm.errors import RouterError
from openautoglm.observability.unix import UnixConnection

_SECONDS = 2.0
_LOOK_SECONDS = 1.0
_CREDENTIALS = Struct("3i")
"""Process, user and group of who listens at a unix socket."""

Mood = Literal["ready", "closed", "draining", "silent", "gone"]
"""Of a gateway. `closed`: it lives and has no port, because it just starts or its port was refused;
`silent`: it is asked and does not answer; `gone`: nobody listens."""


class GoneError(RouterError):
    """Nobody listens at the socket: the gateway is dead, or has not read its files yet."""


def ask(
    admin: Path, path: str, *, method: str = "GET", seconds: float = _SECONDS
) -> tuple[int, str]:
    """Status and body of an answer.

    Raises:
        GoneError: Nobody listens.
        RouterError: There is no whole answer in time.
    """
    _, status, body = _exchange(admin, path, method=method, seconds=seconds)
    return status, body


def _exchange(admin: Path, path: str, *, method: str, seconds: float) -> tuple[int, int, str]:
    """Process id of who answered, status and body."""
    connection = UnixConnection(admin, seconds)
    try:
        connection.request(method, path)
        process, _, _ = _CREDENTIALS.unpack(
            connection.sock.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size)
        )
        answer = connection.getresponse()
        return process, answer.status, answer.read().decode()
    except (ConnectionRefusedError, FileNotFoundError) as error:
        raise GoneError("no gateway listens here", where=str(admin)) from error
    except (OSError, HTTPException) as error:
        raise RouterError(f"the gateway does not answer: {error}", where=str(admin)) from error
    finally:
        connection.close()


def stats(admin: Path, pattern: str, *, seconds: float = _SECONDS) -> dict[str, int | str]:
    """Counters, gauges and texts whose names match a regular expression.

    Raises:
        GoneError: Nobody listens.
        RouterError: There is no whole answer in time.
    """
    path = f"/stats?format=json&filter={quote(pattern)}"
    _, body = ask(admin, path, seconds=seconds)
    try:
        return {one["name"]: one["value"] for one in json.loads(body)["stats"] if "name" in one}
    except (ValueError, LookupError, TypeError) as error:
        raise RouterError(f"the gateway answers {body[:80]!r}", where=str(admin)) from error


class Counted(NamedTuple):
    """Statistics as one process has them since its start.

    Attributes:
        process: A name that no other process ever has.
        counters: By name.
        histograms: Numbers of values by name and lower bound; a bound has two significant digits.
    """

    process: str
    counters: dict[str, int]
    histograms: dict[str, dict[float, int]]


def counted(admin: Path, pattern: str, *, seconds: float = _SECONDS) -> Counted:
    """Counters and histograms whose names match a regular expression.

    Raises:
        GoneError: Nobody listens.
        RouterError: There is no whole answer in time.
    """
    # Not `cumulative`: those take all of the bin that begins at an edge for below it, which is up
    # to a tenth of the edge.
    path = f"/stats?format=json&histogram_buckets=detailed&filter={quote(pattern)}"
    process, _, body = _exchange(admin, path, method="GET", seconds=seconds)
    try:
        found = json.loads(body)["stats"]
        return Counted(
            f"{process}-{_ticks(process)}",
            {one["name"]: int(one["value"]) for one in found if "name" in one},
            {
                one["name"]: {float(at["lower_bound"]): int(at["count"]) for at in one["totals"]}
                for group in found
                for one in group.get("histograms", {}).get("details", ())
            },
        )
    except FileNotFoundError as error:
        raise GoneError("the gateway ended", where=str(admin)) from error
    except (ValueError, LookupError, TypeError) as error:
        raise RouterError(f"the gateway answers {body[:80]!r}", where=str(admin)) from error


def look(admin: Path) -> Mood:
    """What a gateway does now; it has a second for each of two answers."""
    try:
        status, body = ask(admin, "/ready", seconds=_LOOK_SECONDS)
        if body.strip() == "DRAINING":
            return "draining"
        name = "listener_manager.total_listeners_active"
        active = stats(admin, f"^{name}$", seconds=_LOOK_SECONDS).get(name, 0)
        return "ready" if status == 200 and int(active) > 0 else "closed"
    except GoneError:
        return "gone"
    except RouterError:
        return "silent"


def ready(admin: Path) -> bool:
    """Whether a gateway takes requests."""
    return look(admin) == "ready"


def active_requests(admin: Path) -> int:
    """Requests that were not answered yet."""
    name = "http.gateway.downstream_rq_active"
    return int(stats(admin, f"^{name}$").get(name, 0))


def drain(admin: Path) -> None:
    """Take no more connections, and close each one after its next answer.

    The process goes on, and answers what comes over the connections it has; end it when
    `active_requests` is 0.
    """
    # The port first: clients that are told to leave connect again at once, and a connection that
    # waits to be taken when the port closes is reset.
    ask(admin, "/drain_listeners", method="POST")
    ask(admin, "/healthcheck/fail", method="POST")


def refusals(admin: Path) -> list[str]:
    """Why listeners were refused, in Envoy's words; about other files only its log says why."""
    _, body = ask(admin, "/config_dump?resource=dynamic_listeners")
    found: list[dict[str, Any]] = json.loads(body).get("configs", [])
    return [one["error_state"]["details"] for one in found if "error_state" in one]


def _ticks(process: int) -> str:
    """When a process began, in ticks of a clock that nobody can set; and of which boot."""
    text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    # Its name stands in parentheses and may hold anything; the 22nd field counts from before it.
    return f"{text.rpartition(')')[2].split()[19]}-{boot}"
