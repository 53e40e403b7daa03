"""Every error that a Kubeflow Pipelines server, or the way to it, can end with.

ServerError                  exit 2: the server was asked and did not do it
├── UnreachableError         nothing answers: name, refused, TLS, broken off, too slow
├── OverloadedError          it answers, but not now (429, 502, 503, 504)
├── UnauthorisedError        it does not take the token, or wants one (401)
├── ForbiddenError           it knows who asks, and does not let them (403)
├── OtherServerError         what answers there is not Kubeflow Pipelines
├── VersionError             it is Kubeflow Pipelines of another version
└── RefusedError             what was asked cannot be done (400, 404, 409, ...)
RunFailedError               exit 1: a run that was waited for did not succeed
"""

from __future__ import annotations

from typing import ClassVar

from openautoglm.errors import OpenAutoGLMError, StoreError


class ServerError(StoreError):
    """The server was asked and did not do it.

    Attributes:
        passes: Whether the same request may be answered a little later.

    Args:
        what: What was found, one sentence without a full stop.
        where: What was asked of which address.
        allowed: What would have been accepted.
        hint: The next thing to do.
        unsure: Whether it may have been done nevertheless: the answer got lost.
        status: HTTP status; None where no answer came.
        retry_after: Seconds after which the server wants to be asked again, if it said so.
    """

    passes: ClassVar[bool] = False

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
        unsure: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, allowed=allowed, hint=hint)
        self.unsure = unsure
        self.status = status
        self.retry_after = retry_after


class UnreachableError(ServerError):
    """Nothing answers, or the connection broke before the answer was there."""

    passes = True


class CertificateError(UnreachableError):
    """No connection that can be trusted; a wrong certificate stays wrong."""

    passes = False


class OverloadedError(ServerError):
    """It answers, but not now."""

    passes = True


class UnauthorisedError(ServerError):
    """It does not take the token, or wants one."""


class ForbiddenError(ServerError):
    """It knows who asks, and does not let them."""


class OtherServerError(ServerError):
    """What answers there is not Kubeflow Pipelines."""


class VersionError(ServerError):
    """It is Kubeflow Pipelines, but of a version that this was not written for."""


class RefusedError(ServerError):
    """What was asked cannot be done."""


class RunFailedError(OpenAutoGLMError):
    """A run that was waited for did not succeed."""
