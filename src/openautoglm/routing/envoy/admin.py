"""Questions to a running gateway, over the unix socket of its admin interface."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openautoglm.errors import RouterError

_SECONDS = 2.0


class GoneError(RouterError):
    """Nobody listens at the socket: the gateway is dead, or has not read its files yet."""


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(admin: Path, path: str, *, method: str = "GET") -> tuple[int, str]:
    """Status and body of an answer.

    Raises:
        GoneError: Nobody listens.
        RouterError: There is no whole answer within two seconds.
    """
    connection = _Connection(admin)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (ConnectionRefusedError, FileNotFoundError) as error:
        raise GoneError("no gateway listens here", where=str(admin)) from error
    except (OSError, HTTPException) as error:
        raise RouterError(f"the gateway does not answer: {error}", where=str(admin)) from error
    finally:
        connection.close()


def stats(admin: Path, pattern: str) -> dict[str, int | str]:
    """Counters, gauges and texts whose names match a regular expression."""
    _, body = ask(admin, f"/stats?format=json&filter={quote(pattern)}")
    return {one["name"]: one["value"] for one in json.loads(body)["stats"] if "name" in one}


def ready(admin: Path) -> bool:
    """Whether a gateway takes requests; one whose port was refused lives and does not."""
    try:
        status, _ = ask(admin, "/ready")
        name = "listener_manager.total_listeners_active"
        return status == 200 and int(stats(admin, f"^{name}$").get(name, 0)) > 0
    except RouterError:
        return False


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
