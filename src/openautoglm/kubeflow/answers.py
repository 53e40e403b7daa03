"""What a server's answer means: good, or which error; the words are the server's where it has any.

Kubeflow answers errors as google.rpc.Status, uploads as `{error_message, error_details}`, and
what stands before it (Istio, a login) in HTML or plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from openautoglm.kubeflow.connection import TOKEN
from openautoglm.kubeflow.errors import (
    ForbiddenError,
    OtherServerError,
    OverloadedError,
    RefusedError,
    ServerError,
    UnauthorisedError,
)

_LATER = (429, 502, 503, 504)
_LONGEST = 400  # characters of a server's words


@dataclass(frozen=True)
class Asked:
    """A request, for messages.

    Attributes:
        method: Of HTTP.
        url: Without its query.
        namespace: Whose; None on a server of one user.
        safe: Whether it may be made twice.
    """

    method: str
    url: str
    namespace: str | None
    safe: bool

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


def refused(asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> ServerError:
    """The error that an answer is.

    Args:
        asked: What was asked.
        status: Of HTTP; not 2xx.
        headers: Of the answer; names in any case.
        body: Of the answer.
    """
    found = _json(body)
    words = _words(found, body)
    if status in _LATER:
        told = f": {words}" if words else ""
        return OverloadedError(
            f"the server answers {status} and cannot do it now{told}",
            where=str(asked),
            hint="try again later",
            unsure=status != 429 and not asked.safe,
            status=status,
            retry_after=_retry_after(headers.get("retry-after")),
        )
    # A 401 and a 403 come from what stands before Kubeflow as often as from Kubeflow.
    if status == 401:
        return UnauthorisedError(
            f"the server does not accept who asks (401){_after(words)}",
            where=str(asked),
            hint=f"a valid token in {TOKEN}, or --token-file FILE",
            status=status,
        )
    if status == 403:
        whose = f" in namespace {asked.namespace}" if asked.namespace else ""
        return ForbiddenError(
            f"the server does not permit this{whose} (403){_after(words)}",
            where=str(asked),
            hint="ask who runs the cluster for a role that may do it"
            + ("" if asked.namespace else ", or name your namespace: --namespace NAME"),
            status=status,
        )
    if found is None or 300 <= status < 400:
        return other(asked, status, headers, body)
    return RefusedError(
        f"the server refuses ({status}){_after(words)}", where=str(asked), status=status
    )


def other(asked: Asked, status: int, headers: Mapping[str, str], body: bytes) -> OtherServerError:
    """An answer that Kubeflow Pipelines does not give."""
    kind = headers.get("content-type", "").partition(";")[0] or "something without a type"
    told, hint = f"{kind}, {status}", "the address ends where /apis/v2beta1 begins"
    if 300 <= status < 400:
        place = headers.get("location", "").partition("?")[0] or "nowhere"
        told = f"it sends on to {place}"
    if 300 <= status < 400 or "html" in kind:
        hint = f"a page to log in wants a token: {TOKEN}, or --token-file FILE; " + hint
    return OtherServerError(
        f"what answers there is not Kubeflow Pipelines: {told}{_after(_words(None, body))}",
        where=str(asked),
        hint=hint,
        status=status,
    )


def _after(words: str) -> str:
    return f": {words}" if words else ""


def _words(found: Any, body: bytes) -> str:
    """What the server says, in one line."""
    text = ""
    if isinstance(found, dict):
        keys = ("error_details", "error_message", "message", "error")
        text = next((str(found[key]) for key in keys if found.get(key)), "")
    elif found is None:
        text = body.decode("utf-8", "replace")
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else ("" if "<" in text else text)
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _json(body: bytes) -> Any:
    """The value, or None; `null` is none either."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _retry_after(found: str | None) -> float | None:
    """Seconds, from a number of them or a date."""
    if not found:
        return None
    if found.strip().isdecimal():
        return float(found)
    try:
        when = parsedate_to_datetime(found)
    except ValueError:
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
