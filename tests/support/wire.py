"""Bare connections to a replica, on which anything can be sent."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.replica import Replica, client
from tests.support.wait import PATIENCE, until


def gauge(replica: Replica, name: str) -> float:
    """One gauge or counter of a replica, without the prefix."""
    body = until(lambda: _metrics(replica), what="the replica tells its metrics")
    [value] = [
        sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == f"openautoglm_replica_{name}"
    ]
    return float(value)


def _metrics(replica: Replica) -> str | None:
    with client(replica) as http:
        try:
            answer = http.get("/metrics")
        except httpx.TransportError:
            return None
    # One that waits for no one may have given this request up while this process stood still.
    return answer.text if answer.is_success else None


@dataclass(frozen=True)
class Answer:
    """One answer as it came; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Wire:
    """A connection on which anything can be sent.

    Args:
        replica: To whom.
        receive: Bytes the kernel keeps of answers that are not read; None is its own choice.
    """

    def __init__(self, replica: Replica, *, receive: int | None = None) -> None:
        parts = urlsplit(replica.url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        if receive is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self._seen = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *parts: bytes) -> Wire:
        """Send, each part in a packet of its own."""
        for part in parts:
            self._socket.sendall(part)
        return self

    def finish(self) -> Wire:
        """Send no more, and still read."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def break_off(self) -> None:
        """Close so that the replica is told that nobody reads any more."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer; `bodiless` where a HEAD was asked."""
        head = self._until(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        size = 0 if bodiless else int(headers.get("content-length", 0))
        while len(self._seen) < size:
            self._more()
        body, self._seen = self._seen[:size], self._seen[size:]
        return Answer(int(status.split()[1]), headers, body)

    def rest(self) -> bytes:
        """Everything until the replica closes the connection, however it does."""
        try:
            while True:
                self._more()
        except ConnectionError:
            return self._seen

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._seen:
            self._more()
        head, self._seen = self._seen.split(mark, 1)
        return head

    def _more(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the connection is closed")
        self._seen += data


def get(path: str = "/health/live", *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def post(body: object, *headers: str, path: str = "/v1/predict") -> bytes:
    """A request with a body, as JSON where it is not bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return get(path, f"Content-Length: {len(data)}", *headers, method="POST") + data


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end
