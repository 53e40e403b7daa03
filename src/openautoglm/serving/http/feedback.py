"""`POST /v1/feedback`: the label of an answer that was given, by the request's id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import orjson

from openautoglm.errors import StoreError
from openautoglm.feedback.answers import Standing, UnknownAnswerError, WrongLabelError
from openautoglm.feedback.store import FeedbackStore
from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.refusals import BUSY, INVALID, NOT_FOUND, STORE, Refusal

_EXAMPLE = '{"request_id": "...", "label": "..."}'
_ID = re.compile(r"[!-~]{1,128}")
_MOST = 64  # requests under way
_THREADS = 4
_WAITS = (0.12, 0.12, 0.3)  # seconds: an answer is in the store a moment after it was given
_RETRY_SECONDS = 2


class TakeFeedback:
    """Answers `/v1/feedback` of one replica; any replica of a service knows all answers.

    Args:
        store: Where answers and labels are.
        service: Whose answers take labels here.
        rows: Most labels of one request.
        behind: Whether answers are missing in the store now, because it does not take them.
    """

    def __init__(
        self, store: FeedbackStore, service: str, *, rows: int, behind: Callable[[], bool]
    ) -> None:
        self._store = store
        self._service = service
        self._rows = rows
        self._behind = behind
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="labels")
        self._under_way: set[asyncio.Task[Standing]] = set()

    def __call__(self, exchange: Exchange) -> None:
        """Set the label, and answer when it stands.

        Raises:
            Refusal: INVALID, or BUSY when too many wait for the store.
        """
        request_id, labels, many = self._read(exchange.json())
        if len(self._under_way) >= _MOST:
            raise Refusal(BUSY, f"{_MOST} labels wait for the store already")
        task = asyncio.get_running_loop().create_task(self._label(request_id, labels))
        self._under_way.add(task)
        task.add_done_callback(partial(self._answer, exchange, request_id, many))

    def close(self) -> None:
        """End the threads and the store's connections."""
        self._pool.shutdown(cancel_futures=True)
        self._store.close()

    async def _label(self, request_id: str, labels: list[str]) -> Standing:
        loop = asyncio.get_running_loop()
        call = partial(self._store.label, self._service, request_id, labels)
        for wait in _WAITS:
            try:
                return await loop.run_in_executor(self._pool, call)
            except UnknownAnswerError:
                await asyncio.sleep(wait)
        return await loop.run_in_executor(self._pool, call)

    def _read(self, value: Any) -> tuple[str, list[str], bool]:
        """Id and labels, and whether they were a list."""
        if type(value) is not dict or value.keys() != {"request_id", "label"}:
            raise Refusal(INVALID, "the body is not of this form", allowed=_EXAMPLE)
        request_id, given = value["request_id"], value["label"]
        if type(request_id) is not str or not _ID.fullmatch(request_id):
            raise Refusal(
                INVALID,
                "this is no id of a request",
                where="request_id",
                allowed="the `request_id` of an answer: 1 to 128 visible ASCII characters",
            )
        many = type(given) is list
        labels = given if many else [given]
        if not labels or len(labels) > self._rows or any(type(one) is not str for one in labels):
            raise Refusal(
                INVALID,
                "this is no label",
                where="label",
                allowed="a string, or for an answer of several rows a list with one for each",
            )
        return request_id, labels, many

    def _answer(
        self, exchange: Exchange, request_id: str, many: bool, task: asyncio.Task[Standing]
    ) -> None:
        self._under_way.discard(task)
        if task.cancelled():
            return  # the replica ends, and with it the connection
        error = task.exception()
        if error is None:
            found = task.result()
            label = list(found.labels) if many else found.labels[0]
            told = {"request_id": request_id, "label": label, "first": found.first}
            exchange.reply(200, orjson.dumps(told))
        elif isinstance(error, UnknownAnswerError) and self._behind():
            exchange.refuse(_no_store())
        elif refusal := _refusal(error):
            exchange.refuse(refusal)
        elif isinstance(error, Exception):
            exchange.connection.server.fault(exchange, error)


def _refusal(error: BaseException) -> Refusal | None:
    if isinstance(error, UnknownAnswerError):
        return Refusal(
            NOT_FOUND,
            error.what,
            where=error.where,
            allowed="the `request_id` of an answer that was kept and is not too old",
            hint="a label can be set until feedback.retention_days after its answer",
        )
    if isinstance(error, WrongLabelError):
        return Refusal(INVALID, error.what, where=error.where, allowed=error.allowed)
    if isinstance(error, StoreError):
        return _no_store()
    return None


def _no_store() -> Refusal:
    return Refusal(
        STORE,
        "the label was not kept: the feedback store does not answer or is full",
        hint="ask again: a label that was kept all the same counts once",
        retry_after=_RETRY_SECONDS,
    )
