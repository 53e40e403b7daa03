"""Asking supervisord over its unix socket."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ProtocolError, ServerProxy, Transport

from openautoglm.errors import DeployError
from openautoglm.observability.unix import UnixConnection

BAD_NAME = 10
NOT_RUNNING = 70
ALREADY_ADDED = 90
STILL_RUNNING = 91
_SECONDS = 5.0


def call(path: Path, method: str, *arguments: Any, ignore: tuple[int, ...] = ()) -> Any:
    """What supervisord answers; None where it answers with a fault to be ignored.

    Args:
        path: Its socket.
        method: Of the namespace `supervisor`.
        arguments: Of the method.
        ignore: Codes of faults.

    Raises:
        DeployError: It does not answer within 5 s, or with another fault.
    """
    try:
        with ServerProxy("http://supervisor", transport=_Transport(path)) as server:
            return getattr(server.supervisor, method)(*arguments)
    except Fault as fault:
        if fault.faultCode in ignore:
            return None
        raise DeployError(
            f"the supervisor refuses {method}: {fault.faultString}", where=str(path)
        ) from fault
    except (OSError, HTTPException, ProtocolError) as error:
        raise DeployError(f"the supervisor does not answer: {error}", where=str(path)) from error


class _Transport(Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        made = UnixConnection(self._path, _SECONDS)
        self._connection = host, made  # the base class closes it
        return made
