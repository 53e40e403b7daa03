"""Ids of a request and of its trace, from its headers or made here (W3C Trace Context)."""

from __future__ import annotations

import os
import random
import re
from time import perf_counter, time_ns
from typing import Literal

# Not the module's own generator, which a library or a test may seed; a forked child starts anew,
# or two replicas would give out the same ids.
_random = random.Random()  # noqa: S311  (ids, no secrets)
os.register_at_fork(after_in_child=_random.seed)
_bits = _random.getrandbits
_share = _random.random

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_PARENT = "0" * 32, "0" * 16
_ODD = "13579bdf"  # last digits of flags whose lowest bit, "sampled", is set


class Context:
    """Ids and start of one request.

    Attributes:
        request_id: The caller's, or 32 hex digits.
        trace_id: 32 hex digits, the caller's where it sent a `traceparent`.
        parent_id: The caller's span, 16 hex digits; None without a caller's trace.
        sampled: Whether spans are made.
        protocol: How it came.
        probe: Whether it only asks how this replica is; set by what answers it.
        started: `time.perf_counter` seconds.
        start_ns: The same moment in nanoseconds since 1970 where sampled, else 0.
    """

    __slots__ = (
        *("request_id", "trace_id", "parent_id", "sampled", "protocol", "probe"),
        *("started", "start_ns"),
    )

    def __init__(
        self,
        request_id: str,
        trace_id: str,
        parent_id: str | None,
        sampled: bool,
        protocol: Literal["http", "grpc"],
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.sampled = sampled
        self.protocol = protocol
        self.probe = False
        self.started = perf_counter()
        self.start_ns = time_ns() if sampled else 0


def make_context(
    *,
    protocol: Literal["http", "grpc"],
    request_id: str | bytes | None,
    traceparent: str | bytes | None,
    ratio: float,
) -> Context:
    """The context of a request that begins now.

    Args:
        protocol: How it came.
        request_id: What the caller calls it; taken over if it is 1 to 128 visible ASCII
            characters, else replaced.
        traceparent: The caller's header; one that is not valid counts as none.
        ratio: Share of requests that are sampled where the caller did not decide.
    """
    if traceparent is not None and (caller := _parse(_text(traceparent))) is not None:
        trace_id, parent_id, sampled = caller
    else:
        trace_id, parent_id, sampled = _bits(128).to_bytes(16).hex(), None, _share() < ratio
    name = "" if request_id is None else _text(request_id)
    if not name or not _REQUEST_ID.fullmatch(name):
        name = _bits(128).to_bytes(16).hex()
    return Context(name, trace_id, parent_id, sampled, protocol)


def _parse(header: str) -> tuple[str, str, bool] | None:
    """Trace, parent and sampled flag of a `traceparent` (Trace Context level 1, section 3.2)."""
    found = _TRACEPARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    # Only a version after ours may have more fields, and ff is never one.
    if (more is not None and version == "00") or version == "ff":
        return None
    if trace_id == _NO_TRACE or parent_id == _NO_PARENT:
        return None
    return trace_id, parent_id, flags[1] in _ODD


def _text(header: str | bytes) -> str:
    return header if isinstance(header, str) else header.decode("latin-1")
