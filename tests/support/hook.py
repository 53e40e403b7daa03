"""A web server that is told things, and answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.ports import HOST


class Hook:
    """What it was told, and what it answers.

    Attributes:
        told: Bodies of the requests that came, and their paths.
        statuses: Of the next answers; None does not answer until `let_go`. Then 200.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}/services/T0/very-secret?key=also-secret"
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.statuses: list[int | None] = []
        self.let_go = threading.Event()


@contextmanager
def hook() -> Iterator[Hook]:
    """One that listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.told.append((self.path, json.loads(body)))
            status = found.statuses.pop(0) if found.statuses else 200
            if status is None:
                found.let_go.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing of it belongs into a test's output."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        found = Hook(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            found.let_go.set()
            server.shutdown()
            thread.join()
