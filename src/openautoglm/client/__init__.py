"""Client of a replica: `Client` and `AsyncClient`, with typed answers and typed errors.

    from openautoglm.client import Client

    with Client("http://127.0.0.1:8080") as client:
        print(client.predict("铁路桥梁设计").label)

Needs httpx and nothing of the machinery that makes or runs models.
"""

from __future__ import annotations

from openautoglm.client.answers import Metadata, Prediction
from openautoglm.client.asynchronous import AsyncClient
from openautoglm.client.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ModelFailedError,
    OverloadedError,
    ReplicaError,
    UnexpectedAnswerError,
    UnreachableError,
)
from openautoglm.client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Client",
    "DeadlineExceededError",
    "InvalidRequestError",
    "Metadata",
    "ModelFailedError",
    "OverloadedError",
    "Prediction",
    "ReplicaError",
    "UnexpectedAnswerError",
    "UnreachableError",
]
