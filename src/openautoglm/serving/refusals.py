"""Why a request was not answered: one kind, one HTTP status and one gRPC status each."""

from __future__ import annotations

from typing import NamedTuple

from openautoglm.errors import OpenAutoGLMError


class Kind(NamedTuple):
    """What a kind of refusal is in each protocol.

    Attributes:
        name: The word clients, metrics and logs see.
        http: Status code.
        grpc: Name of the gRPC status code.
        again: Whether the same request may succeed later: those answers carry `Retry-After`.
    """

    name: str
    http: int
    grpc: str
    again: bool = False


INVALID = Kind("invalid", 400, "INVALID_ARGUMENT")
NOT_FOUND = Kind("not_found", 404, "NOT_FOUND")
METHOD = Kind("method", 405, "UNIMPLEMENTED")
SLOW = Kind("slow", 408, "CANCELLED")
TOO_LARGE = Kind("too_large", 413, "INVALID_ARGUMENT")
UNSUPPORTED = Kind("unsupported", 415, "UNIMPLEMENTED")
HEADERS = Kind("headers", 431, "INVALID_ARGUMENT")
QUEUE_FULL = Kind("queue_full", 429, "RESOURCE_EXHAUSTED", again=True)
DEADLINE = Kind("deadline", 429, "DEADLINE_EXCEEDED", again=True)
BUSY = Kind("busy", 429, "RESOURCE_EXHAUSTED", again=True)
FAILED = Kind("failed", 500, "INTERNAL")
DRAINING = Kind("draining", 503, "UNAVAILABLE", again=True)
OVERLOADED = Kind("overloaded", 503, "UNAVAILABLE", again=True)
STORE = Kind("store", 503, "UNAVAILABLE", again=True)

KINDS = (
    *(INVALID, NOT_FOUND, METHOD, SLOW, TOO_LARGE, UNSUPPORTED, HEADERS),
    *(QUEUE_FULL, DEADLINE, BUSY, FAILED, DRAINING, OVERLOADED, STORE),
)


class Refusal(OpenAutoGLMError):  # noqa: N818  (an answer, not a fault)
    """A request that gets an error for an answer.

    Args:
        kind: Why.
        what: What was found, one sentence without a full stop.
        where: The key or row.
        allowed: What would have been accepted.
        hint: What to do next.
        retry_after: Seconds after which to try again, for kinds that allow it.
    """

    def __init__(
        self,
        kind: Kind,
        what: str,
        *,
        where: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
        retry_after: int = 1,
    ) -> None:
        super().__init__(what, where=where, allowed=allowed, hint=hint)
        self.kind = kind
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """One line: where, what was found, what is allowed."""
        where = f"{self.where}: " if self.where else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{where}{self.what}{allowed}"
