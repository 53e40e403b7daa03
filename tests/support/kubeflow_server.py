"""A Kubeflow Pipelines server of one process: the v2beta1 API over HTTP, strict, with faults."""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.kubeflow_models import RefusalError, check_answer
from tests.support.kubeflow_state import Row, State

LOGIN = "<!doctype html><html><head><title>Log in to Kubeflow</title></head></html>"


@dataclass
class Fault:
    """What befalls requests.

    Attributes:
        match: Beginning of `METHOD /path`, without the server's prefix.
        times: How many requests.
        status: Answered instead; None for none.
        headers: Of that answer.
        body: Of that answer.
        acts: Whether the server does what was asked before it answers so, or breaks off.
        until: Waited for before the connection breaks; None breaks it at once.
    """

    match: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "no healthy upstream"
    acts: bool = False
    until: threading.Event | None = None


@dataclass
class KubeflowServer:
    """The server, while it runs.

    Attributes:
        url: What a client takes as `--host`.
        state: What it keeps.
        tokens: Bearer token to the namespaces it may use; empty asks for none.
        asked: Each request that came, `METHOD /path`.
        health: What healthz answers by version of the API; None is 404.
        faults: What befalls requests, first come first served.
        before: `METHOD /path` to what happens once before such a request is done.
        after: The same, when it is done and not yet answered.
        page_limit: The largest page it gives.
        broken: Mistakes of its own; there must be none.
    """

    url: str
    state: State
    tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    health: dict[str, Row | None] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    before: dict[str, Callable[[], Any]] = field(default_factory=dict)
    after: dict[str, Callable[[], Any]] = field(default_factory=dict)
    page_limit: int = 200
    broken: list[Exception] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fault(self, match: str, **given: Any) -> Fault:
        """Let something befall the next requests."""
        self.faults.append(Fault(match, **given))
        return self.faults[-1]

    def count(self, match: str) -> int:
        """How many requests of a kind came."""
        return sum(one.startswith(match) for one in self.asked)

    def rows(self, kind: str) -> list[Row]:
        """What it keeps of a kind, oldest first."""
        with self.lock:
            return list(self.state.rows[kind].values())

    def set_run(self, run: str, state: str, error: str = "", **tasks: tuple[str, str]) -> None:
        """Let a run live: its state, and each task's state and error."""
        details = [
            {"display_name": name.replace("_", "-"), "task_id": name, "state": one}
            | ({"error": {"code": 13, "message": why}} if why else {})
            for name, (one, why) in tasks.items()
        ]
        with self.lock:
            row = self.state.rows["runs"][run]
            row.update(state=state, run_details={"task_details": details})
            if error:
                row["error"] = {"code": 13, "message": error}

    def take_fault(self, asked: str) -> Fault | None:
        """The fault that befalls this request."""
        with self.lock:
            for fault in self.faults:
                if fault.times and asked.startswith(fault.match):
                    fault.times -= 1
                    return fault
        return None

    def answer(self, method: str, path: str, query: Row, body: Any, token: str | None) -> Row:
        """Do what a request asks."""
        self._authorise(method, path, query, body, token)
        if path.endswith("/healthz"):
            found = self.health.get(path.split("/")[-2])
            if found is None:
                raise RefusalError(404, 5, "Not Found")
            return found
        query = {**query, "page_size": min(int(query.get("page_size") or 20), self.page_limit)}
        for pattern, verb, act, model in _ROUTES:
            found = re.fullmatch(f"/apis/v2beta1/{pattern}", path)
            if found and verb == method:
                row = _shown(act(self.state, query, body, *map(unquote, found.groups())))
                if model:
                    check_answer(f"V2beta1{model}", row)
                return row
        raise RefusalError(404, 5, "Not Found")

    def _authorise(self, method: str, path: str, query: Row, body: Any, token: str | None) -> None:
        if not self.tokens or path.endswith("/healthz"):
            return
        if token not in self.tokens:
            raise RefusalError(401, 16, "Unauthenticated: Request header error: there is no user")
        whose = query.get("namespace") or (isinstance(body, dict) and body.get("namespace"))
        if whose and whose not in self.tokens[token]:
            raise RefusalError(403, 7, f"PermissionDenied: User is not authorized in {whose}")


def _shown(row: Row) -> Row:
    """Without what only we keep."""
    if "spec" in row:
        return {key: value for key, value in row.items() if key != "spec"}
    return {
        key: [_shown(one) for one in value] if isinstance(value, list) else value
        for key, value in row.items()
    }


def _mine(state: State, query: Row) -> Row:
    return {"namespace": query.get("namespace")} if state.multi_user else {}


def _of_experiment(query: Row) -> Row:
    return {"experiment_id": query["experiment_id"]} if query.get("experiment_id") else {}


_ID = "([^/:]+)"
_ROUTES: list[tuple[str, str, Callable[..., Row], str]] = [
    (
        "experiments",
        "GET",
        lambda s, q, b: s.listed("experiments", q, _mine(s, q)),
        "ListExperimentsResponse",
    ),
    ("experiments", "POST", lambda s, q, b: s.create_experiment(b), "Experiment"),
    (
        "pipelines",
        "GET",
        lambda s, q, b: s.listed("pipelines", q, _mine(s, q)),
        "ListPipelinesResponse",
    ),
    ("pipelines", "POST", lambda s, q, b: s.create_pipeline(b), "Pipeline"),
    (
        "pipelines/upload_version",
        "POST",
        lambda s, q, b: s.upload_version(q, *b),
        "PipelineVersion",
    ),
    (
        f"pipelines/{_ID}/versions",
        "GET",
        lambda s, q, b, i: s.listed("versions", q, {"pipeline_id": i}, "pipeline_versions"),
        "ListPipelineVersionsResponse",
    ),
    ("runs", "GET", lambda s, q, b: s.listed("runs", q, _of_experiment(q)), "ListRunsResponse"),
    ("runs", "POST", lambda s, q, b: s.create_run(b), "Run"),
    (f"runs/{_ID}", "GET", lambda s, q, b, i: s.get("runs", i), "Run"),
    (
        "recurringruns",
        "GET",
        lambda s, q, b: s.listed("recurring_runs", q, _mine(s, q), "recurringRuns"),
        "ListRecurringRunsResponse",
    ),
    ("recurringruns", "POST", lambda s, q, b: s.create_recurring_run(b), "RecurringRun"),
    (f"recurringruns/{_ID}:enable", "POST", lambda s, q, b, i: s.switch(i, "ENABLE"), ""),
    (f"recurringruns/{_ID}:disable", "POST", lambda s, q, b, i: s.switch(i, "DISABLE"), ""),
    (f"recurringruns/{_ID}", "DELETE", lambda s, q, b, i: _delete(s, i), ""),
]
"""Path, method, what is done, and the model of the answer."""


def _delete(state: State, id_: str) -> Row:
    state.get("recurring_runs", id_)
    del state.rows["recurring_runs"][id_]
    return {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    kubeflow: KubeflowServer
    prefix: str

    def handle_one(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        address = urlsplit(self.path)
        if not address.path.startswith(f"{self.prefix}/apis/"):
            return self._send(404, {"content-type": "text/html"}, "<title>Not here</title>")
        path = address.path.removeprefix(self.prefix)
        asked = f"{self.command} {path}"
        self.kubeflow.asked.append(asked)
        fault = self.kubeflow.take_fault(asked)
        if fault and not fault.acts:
            return self._fail(fault)
        if act := self.kubeflow.before.pop(asked, None):
            act()
        status, answer = self._act(path, dict(parse_qsl(address.query)), content)
        if fault:
            return self._fail(fault)
        if act := self.kubeflow.after.pop(asked, None):
            act()
        return self._send(status, {"content-type": "application/json"}, json.dumps(answer))

    do_GET = do_POST = do_DELETE = handle_one  # noqa: N815

    def _act(self, path: str, query: Row, content: bytes) -> tuple[int, Row]:
        token = (self.headers.get("authorization") or "").removeprefix("Bearer ") or None
        try:
            with self.kubeflow.lock:
                body = self._body(content)
                return 200, self.kubeflow.answer(self.command, path, query, body, token)
        except RefusalError as refused:
            told = {"error": str(refused), "code": refused.code, "message": str(refused)}
            if path.endswith("/upload_version"):
                told = {"error_message": str(refused), "error_details": f"{refused}"}
            return refused.status, told
        except Exception as error:  # a mistake of ours, not of the client
            self.kubeflow.broken.append(error)
            return 500, {"error": repr(error), "code": 13, "message": repr(error)}

    def _body(self, content: bytes) -> Any:
        kind = self.headers.get("content-type") or ""
        if not content:
            return None
        if kind.startswith("multipart/form-data"):
            head = f"content-type: {kind}\r\n\r\n".encode()
            parser = email.parser.BytesParser(policy=email.policy.HTTP)
            part = next(iter(parser.parsebytes(head + content).iter_parts()))
            assert part.get_param("name", header="content-disposition") == "uploadfile"
            return part.get_filename(), part.get_payload(decode=True)
        assert kind == "application/json", kind
        return json.loads(content)

    def _fail(self, fault: Fault) -> None:
        if fault.status is not None:
            return self._send(fault.status, fault.headers, fault.body)
        if fault.until:
            fault.until.wait(60)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return None

    def _send(self, status: int, headers: dict[str, str], text: str) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in ({"content-type": "text/plain"} | headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at `asked`."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us, or has gone, is no news here."""


@contextmanager
def kubeflow_server(
    *, multi_user: bool = False, prefix: str = "", certificate: Path | None = None
) -> Iterator[KubeflowServer]:
    """A server on a port of its own.

    Args:
        multi_user: Whether it has namespaces.
        prefix: Of every path, as behind a gateway.
        certificate: PEM of key and certificate; it speaks TLS.
    """
    handler = type("Handler", (_Handler,), {"prefix": prefix})
    http = _Http(("127.0.0.1", 0), handler)
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        scheme = "https"
    server = KubeflowServer(
        f"{scheme}://127.0.0.1:{http.server_address[1]}{prefix}", State(multi_user=multi_user)
    )
    server.health = {
        "v2beta1": {"multi_user": multi_user, "pipeline_store": "database"},
        "v1beta1": {"commit_sha": "c0", "tag_name": "2.17.0", "multi_user": multi_user},
    }
    handler.kubeflow = server
    thread = threading.Thread(target=lambda: http.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        for fault in server.faults:
            if fault.until:
                fault.until.set()
        http.shutdown()
        http.server_close()
        thread.join()
    assert not server.broken
