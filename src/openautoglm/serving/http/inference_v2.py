"""Open Inference Protocol v2 over REST, with Triton's binary tensor data extension."""

from __future__ import annotations

from functools import partial

import orjson

from openautoglm.serving.batching.job import Job
from openautoglm.serving.http.exchange import Exchange, read_json
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import INVALID, Refusal
from openautoglm.serving.signature import SERVER, model_metadata
from openautoglm.serving.tensors_json import InferRequest, read_request, write_answer

_LENGTH = "inference-header-content-length"


class InferenceV2:
    """Answers the paths below `/v2` for one predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._server = orjson.dumps(SERVER)
        self._model = orjson.dumps(model_metadata(predictor))

    def server(self, exchange: Exchange) -> None:
        """Name and version of the server."""
        exchange.reply(200, self._server)

    def model(self, exchange: Exchange) -> None:
        """What the model takes and gives."""
        exchange.reply(200, self._model)

    def infer(self, exchange: Exchange) -> None:
        """Have the rows of a request scored, and answer when they are."""
        predictor = self._predictor
        body, binary = _cut(exchange)
        header = read_json(body, predictor.limits.depth)
        request = read_request(header, binary, served=predictor)
        exchange.job = predictor.submit(
            request.rows,
            arrived=exchange.context.started,
            timeout=exchange.timeout(predictor.timeout, request.timeout),
            done=partial(exchange.settle, partial(self._answer, request)),
        )

    def _answer(self, request: InferRequest, exchange: Exchange, job: Job) -> None:
        predictor = self._predictor
        answer = predictor.answer(job, exchange.context)
        told, parts = write_answer(answer, request, served=predictor)
        header = orjson.dumps(told)
        if not parts:
            exchange.reply(200, header)
            return
        exchange.reply(
            200,
            b"".join((header, *parts)),
            content_type=b"application/octet-stream",
            headers={_LENGTH: str(len(header))},
        )


def _cut(exchange: Exchange) -> tuple[bytes | bytearray, memoryview]:
    """The JSON of a body, and the bytes behind it."""
    body, given = exchange.body, exchange.headers.get(_LENGTH.encode())
    if given is None:
        return body, memoryview(b"")
    if not given.isdigit() or not (length := int(given[:12])) <= len(body):
        raise Refusal(
            INVALID,
            f"found `{given[:32].decode('latin-1')}`",
            where=f"header {_LENGTH}",
            allowed=f"bytes of JSON at the head of the body, at most {len(body)}",
        )
    return body[:length], memoryview(body)[length:]
