"""How a request ended, for the variant that it went to.

The client's own doing says nothing against a variant: a 4xx, or to leave before the answer. All
else that is no good answer is an error, and so is a good one after another attempt failed: who
asks again after a crash hides that crash from the client, not from here. A replica that has too
much to do (429, 503) did not answer either; that it is not broken is told apart.
"""

from __future__ import annotations

from typing import NamedTuple

from openautoglm.routing.counts import Counts

_NEVER_SENT = {"RL", "DPE", "IH", "RFCF"}
"""Envoy's flags: refused at the port, before any variant had a part in it."""
_FAILED = {"UH", "UF", "UO", "UC", "UT", "UR", "URX", "LR", "LH", "NC", "NR", "UPE", "OM", "SI"}
"""Flags of a variant that was not reached, broke off, took too long, or had no room."""
_FULL = {"UO"}
"""Of those, no room: the gateway sends a variant no more than it is allowed to."""
_GRPC_REFUSED = {1, 3, 5, 6, 7, 9, 11, 12, 16}
"""The 4xx of gRPC: cancelled (a replica's 408), invalid argument, not found, already exists,
permission denied, failed precondition, out of range, unimplemented, unauthenticated."""
_SHED, _GRPC_SHED = {429, 503}, {8, 14}


class End(NamedTuple):
    """What the gateway knows of a request that ended.

    Attributes:
        code: HTTP status; 0 when the client left before one.
        grpc: gRPC status, None of plain HTTP or when there was none.
        flags: Envoy's flags for what happened.
        attempts: How often it was sent to the variant.
    """

    code: int
    grpc: int | None
    flags: frozenset[str]
    attempts: int


def counts(end: End, number: int) -> Counts:
    """So many requests that ended this way; nothing of those that no variant had a part in."""
    if end.flags & _NEVER_SENT:
        return Counts()
    failed = _failed(end)
    if end.attempts > 1:
        # The first attempt failed, however the last one ended.
        good = not failed and not _refused(end) and not _abandoned(end)
        return Counts(
            requests=number,
            errors=number,
            shed=number if failed and _shed(end) else 0,
            retried=number if good else 0,
        )
    if failed:
        return Counts(requests=number, errors=number, shed=number if _shed(end) else 0)
    if _abandoned(end):
        return Counts(requests=number, abandoned=number)
    if _refused(end):
        return Counts(requests=number, refused=number)
    return Counts(requests=number)


def _failed(end: End) -> bool:
    if end.flags & _FAILED:
        return True
    if end.grpc:
        return end.grpc not in _GRPC_REFUSED
    return end.code >= 500 or end.code == 429


def _abandoned(end: End) -> bool:
    return end.code == 0


def _refused(end: End) -> bool:
    return end.grpc in _GRPC_REFUSED if end.grpc else 400 <= end.code < 500


def _shed(end: End) -> bool:
    if end.flags & _FAILED:
        return bool(end.flags & _FULL)
    return end.grpc in _GRPC_SHED if end.grpc else end.code in _SHED
