"""HTTP/1.1 as the load generator speaks it: no more of it than measuring takes."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Mapping

Address = tuple[str, int]
_READ, _BOTH = selectors.EVENT_READ, selectors.EVENT_READ | selectors.EVENT_WRITE
_NOT_YET = (errno.EAGAIN, errno.ENOTCONN)
_END, _LENGTH = b"\r\n\r\n", b"\r\ncontent-length:"


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A request as `load` takes them."""
    given = {"Host": "localhost", "Content-Type": "application/json", **(headers or {})}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Connection:
    """A keep-alive connection with at most one request under way."""

    __slots__ = ("_data", "_rest", "_selector", "alive", "begun", "busy", "error", "kept", "socket")

    def __init__(self, address: Address, selector: selectors.BaseSelector) -> None:
        self.alive, self.busy, self.kept = True, False, True
        self.begun = 0.0
        self.error: Exception | None = None
        self._data = self._rest = b""
        self._selector = selector
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(address)
        selector.register(self.socket, _READ, self)

    def send(self, request: bytes, begun: float) -> None:
        """Send, or as much as fits now; latency counts from `begun`."""
        self.begun, self.busy = begun, True
        self._push(request)

    def progress(self, mask: int) -> int:
        """Write and read what the socket allows: the status of an answer that is whole, or 0.

        Raises:
            OSError: The connection broke.
            ValueError: This is not an answer, or more than one.
        """
        if self._rest and mask & selectors.EVENT_WRITE:
            self._push(self._rest)
        if not mask & _READ:
            return 0
        try:
            got = self.socket.recv(65536)
        except OSError as error:
            raise self.error or error from None
        if not got:
            raise self.error or ConnectionResetError("the server closed the connection")
        data = self._data + got if self._data else got
        length, status, self.kept = measured(data)
        if not self.busy or (length and length < len(data)):
            raise ValueError(f"more than was asked for: {data[:80]!r}")
        if not length:
            self._data = data
            return 0
        self._data, self.busy = b"", False
        return status

    def _push(self, data: bytes) -> None:
        try:
            sent = self.socket.send(data)
        except OSError as error:
            sent = 0
            if error.errno not in _NOT_YET:
                self.error, sent = error, len(data)  # told when there is no answer to read
        if bool(self._rest) != (sent < len(data)):
            self._selector.modify(self.socket, _READ if self._rest else _BOTH, self)
        self._rest = data[sent:]


def measured(data: bytes) -> tuple[int, int, bool]:
    """Bytes of the answer that `data` begins with, its status, and whether the connection is kept.

    Only the status line, Content-Length, chunks and `Connection: close` are looked at. Bytes are
    0 as long as the answer is not whole.

    Raises:
        ValueError: It is not an HTTP/1.1 answer, or its length is not told.
    """
    end = data.find(_END)
    if end < 0:
        return 0, 0, True
    if data[:9] != b"HTTP/1.1 ":
        raise ValueError(f"not an HTTP/1.1 answer: {data[:80]!r}")
    status, head, body = int(data[9:12]), data[: end + 2].lower(), end + len(_END)
    kept = b"\r\nconnection: close\r\n" not in head
    if (at := head.find(_LENGTH)) >= 0:
        body += int(head[at + len(_LENGTH) : head.index(b"\r", at + 2)])
    elif b"\r\ntransfer-encoding: chunked\r\n" in head:
        body = _after_chunks(data, body)
    elif status not in (204, 304):
        raise ValueError(f"the length is not told: {data[:80]!r}")
    return (body if body <= len(data) else 0), status, kept


def _after_chunks(data: bytes, at: int) -> int:
    """The place after the last chunk, which has no trailer; beyond the end where it is missing."""
    while (line := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line].partition(b";")[0], 16)
        at = line + 2 + size + 2
        if not size:
            return at
    return len(data) + 1
