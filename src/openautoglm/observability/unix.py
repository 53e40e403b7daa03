"""HTTP over a unix socket: how processes of this machine are asked about themselves."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from pathlib import Path


class UnixConnection(HTTPConnection):
    """A connection to whoever listens at a socket.

    Args:
        path: The socket, at most 107 bytes long.
        seconds: Longest that one step of a request may take.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect; called by `request`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
