"""Asking a URL whether a promotion may be."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import httpx

_log = logging.getLogger("openautoglm.rollout")
_SECONDS, _AGAIN_SECONDS = 5.0, 10.0


class Confirmation:
    """Asks in the background, so that traffic waits for nobody."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="confirm")
        self._asked: Future[bool] | None = None
        self._at = 0.0

    def step(self, url: str | None, rollout: int) -> bool:
        """Whether it has agreed; ask when that is due.

        Args:
            url: Who must agree; None, or `person`, asks nobody.
            rollout: The number of the rollout, which is told.
        """
        if url is None or url == "person":
            self._asked = None
            return False
        if self._asked is None or (self._asked.done() and self._due()):
            self._at = monotonic()
            self._asked = self._pool.submit(_agrees, url, rollout)
        return self._asked.done() and self._asked.result()

    def _due(self) -> bool:
        return monotonic() - self._at > _AGAIN_SECONDS


def _agrees(url: str, rollout: int) -> bool:
    try:
        answer = httpx.get(url, params={"rollout": rollout}, timeout=_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        _log.warning("nobody answers whether to promote", extra={"why": str(error)})
        return False
    return answer.status_code == httpx.codes.OK
