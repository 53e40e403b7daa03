"""Liveness, readiness, metrics and the OpenAPI document."""

from __future__ import annotations

import orjson

from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.http.openapi import document
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import DRAINING, FAILED, Refusal

_OK = b'{"status":"ok"}'


class Operations:
    """What machines ask besides predictions; none of it waits for the model."""

    def __init__(self, predictor: Predictor, *, feedback: bool) -> None:
        self._predictor = predictor
        self._document = orjson.dumps(document(predictor, feedback=feedback))

    def live(self, exchange: Exchange) -> None:
        """200, or 500 when the model's thread is dead or stuck: start this process again.

        Raises:
            Refusal: FAILED.
        """
        exchange.context.probe = True
        if not self._predictor.live():
            raise Refusal(FAILED, "the model's thread is stuck", hint="restart this replica")
        exchange.reply(200, _OK)

    def ready(self, exchange: Exchange) -> None:
        """200 while requests are taken.

        Raises:
            Refusal: DRAINING.
        """
        exchange.context.probe = True
        if not self._predictor.ready:
            raise Refusal(DRAINING, "this replica is starting or stopping")
        exchange.reply(200, _OK)

    def metrics(self, exchange: Exchange) -> None:
        """Prometheus metrics, or OpenMetrics when asked for."""
        accept = exchange.headers.get(b"accept", b"").decode("latin-1")
        body, content_type = self._predictor.observer.metrics.render(accept)
        exchange.reply(200, body, content_type=content_type.encode())

    def openapi(self, exchange: Exchange) -> None:
        """The document of every path."""
        exchange.reply(200, self._document)
