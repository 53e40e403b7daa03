"""Every error a call of a replica can end with.

    ReplicaError                 a request that got no prediction
    ├── InvalidRequestError      exit 2: the request itself cannot be answered (4xx)
    ├── UnreachableError         exit 2: no connection, or one that broke before the answer
    ├── OverloadedError          exit 1: refused for now (429, 503): see `retry_after`
    ├── DeadlineExceededError    exit 1: no answer within the timeout (`deadline`, 408, 504)
    ├── ModelFailedError         exit 1: the model failed on this very input (500 `failed`)
    └── UnexpectedAnswerError    exit 1: not what a replica answers

Refusals with 429 or 503 and broken connections are raised after the last attempt; all others at
once, for they would only come again.
"""

from __future__ import annotations

from openautoglm.errors import OpenAutoGLMError


class ReplicaError(OpenAutoGLMError):
    """A request that got no prediction.

    Args:
        what: What was found, one sentence without a full stop.
        where: The address that was asked.
        hint: The next thing to do.
        kind: The replica's word for it, such as `queue_full`; `http 502` where it gave none.
        status: HTTP status; None where no answer came.
        request_id: What to look for in the replica's log; None where no answer came.
        retry_after: Seconds after which the replica wants to be asked again; None if it did not
            say.
        rows: Which rows of the list this is about, counted from 0, where the list was sent in
            parts. Row numbers in the replica's own message count within them.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        kind: str = "unexpected",
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        rows: range | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.rows = rows

    @property
    def message(self) -> str:
        """What was found, one line."""
        return self.what

    def __str__(self) -> str:
        lines = super().__str__().splitlines()
        if self.rows is not None:
            lines.insert(1, f"  rows:    {self.rows.start} to {self.rows.stop - 1}, from 0")
        if self.request_id:
            lines.append(f"  request: {self.request_id}")
        return "\n".join(lines)


class InvalidRequestError(ReplicaError):
    """The request cannot be answered as it is: bad rows, too many, not allowed."""

    exit_code = 2


class UnreachableError(ReplicaError):
    """Nothing answers at this address, or the connection broke before the answer was there."""

    exit_code = 2


class OverloadedError(ReplicaError):
    """The replica has too much to do, or is about to stop; try again after `retry_after`."""


class DeadlineExceededError(ReplicaError):
    """The answer was not there, or could not be, within the timeout."""


class ModelFailedError(ReplicaError):
    """The model failed on this input; other inputs are not affected."""


class UnexpectedAnswerError(ReplicaError):
    """Something answered that does not speak like a replica."""
