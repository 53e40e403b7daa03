"""Requests that are made again when they may be, under the generated API of Kubeflow Pipelines.

The generated client has a part that speaks HTTP. This takes its place: that one follows to login
pages, has no pauses, and meets an error of TLS with an AttributeError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from openautoglm import __version__
from openautoglm.kubeflow.answers import Asked, other, refused
from openautoglm.kubeflow.connection import Connection
from openautoglm.kubeflow.errors import CertificateError, ServerError, UnreachableError

_REPEATED = (":enable", ":disable")
"""Ends of the addresses that a POST may be sent to twice."""


@dataclass
class Answer:
    """What the generated client wants of an answer; it decodes `data` in place."""

    status: int
    reason: str | None
    data: Any
    headers: Mapping[str, str]

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """One header."""
        return self.headers.get(name, default)

    def getheaders(self) -> Mapping[str, str]:
        """All headers."""
        return self.headers


class Transport:
    """Speaks HTTP with one server.

    Args:
        connection: With which, and how patiently.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        ca = str(connection.ca) if connection.ca else None
        # No retries of urllib3, which would repeat what may have been done, and no redirects,
        # which would carry the token elsewhere.
        self._pool = urllib3.PoolManager(retries=False, timeout=connection.timeout, ca_certs=ca)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def GET(self, url: str, **given: Any) -> Answer:  # noqa: N802
        """As the generated client calls it."""
        return self._ask("GET", url, **given)

    def POST(self, url: str, **given: Any) -> Answer:  # noqa: N802
        """As the generated client calls it."""
        return self._ask("POST", url, **given)

    def DELETE(self, url: str, **given: Any) -> Answer:  # noqa: N802
        """As the generated client calls it."""
        return self._ask("DELETE", url, **given)

    def _ask(
        self,
        method: str,
        url: str,
        *,
        query_params: Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        post_params: Sequence[tuple[str, Any]] | None = None,
        **_generated: Any,
    ) -> Answer:
        safe = method != "POST" or url.endswith(_REPEATED)
        asked = Asked(method, url, self._connection.namespace, safe)
        sent: dict[str, Any] = {}
        kept = {"user-agent": f"open-autoglm/{__version__}", "accept": "application/json"}
        if post_params:
            sent["fields"], sent["encode_multipart"] = post_params, True
        elif body is not None:
            sent["body"] = json.dumps(body).encode()
            kept["content-type"] = "application/json"
        address = f"{url}?{urlencode(query_params)}" if query_params else url
        for turn in self._connection.patience.turns():
            try:
                return self._once(asked, address, kept, sent)
            except ServerError as error:
                again = error.passes and not error.unsure
                if not again or not turn.rest(error.what, error.retry_after):
                    raise
        raise AssertionError("the last turn raises")

    def _once(
        self, asked: Asked, address: str, headers: Mapping[str, str], sent: Mapping[str, Any]
    ) -> Answer:
        token = self._connection.token.read()
        bearer = {"authorization": f"Bearer {token}"} if token else {}
        try:
            got = self._pool.request(asked.method, address, headers={**headers, **bearer}, **sent)
        except HTTPError as error:
            raise _broken(asked, error, self._connection.timeout) from None
        data = got.data.replace(token.encode(), b"***") if token else got.data
        names = {name.lower(): value for name, value in got.headers.items()}
        if not 200 <= got.status <= 299:
            raise refused(asked, got.status, names, data)
        if not _is_object(data):
            raise other(asked, got.status, names, data)
        return Answer(got.status, got.reason, data, names)


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _broken(asked: Asked, error: HTTPError, timeout: float) -> UnreachableError:
    """What a connection that failed is called, and whether the request may have arrived."""
    where = str(asked)
    if isinstance(error, SSLError):
        return CertificateError(
            f"no trusted connection: {_reason(error)}",
            where=where,
            hint="--ca FILE with the certificate of who signed the server's, or http://",
        )
    if isinstance(error, NameResolutionError):
        return UnreachableError("there is no host of this name", where=where, hint=_HINT)
    if isinstance(error, NewConnectionError):
        return UnreachableError(f"no connection: {_reason(error)}", where=where, hint=_HINT)
    if isinstance(error, ConnectTimeoutError):
        return UnreachableError(f"no connection within {timeout:g} s", where=where, hint=_HINT)
    what = "the connection broke before the answer was there"
    if isinstance(error, ReadTimeoutError):
        what = f"no answer within {timeout:g} s"
    return UnreachableError(what, where=where, hint="try again later", unsure=not asked.safe)


_HINT = "is it the right --host, and is the server running?"


def _reason(error: HTTPError) -> str:
    """The operating system's words, without urllib3's objects before them."""
    words = str(error).rpartition(": ")[2].strip("()'\" ") or type(error).__name__
    return re.sub(r"^\[Errno -?\d+\] ", "", words)
