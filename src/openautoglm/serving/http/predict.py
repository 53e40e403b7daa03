"""`POST /v1/predict`: one text or a list, one row of features or a list."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson

from openautoglm.inference.package import NumericInput
from openautoglm.serving.batching.job import Job
from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import INVALID, Refusal
from openautoglm.serving.rows import check_features, check_features_row, check_text, check_texts


class Predict:
    """Answers `/v1/predict` for one predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        input_ = predictor.input
        self._width = len(input_.features) if isinstance(input_, NumericInput) else None
        self._key = "text" if self._width is None else "features"
        self._example = '{"text": "..."}' if self._width is None else '{"features": [...]}'

    def __call__(self, exchange: Exchange) -> None:
        """Have the rows scored, and answer when they are."""
        rows, many = self._rows(exchange.json())
        exchange.job = self._predictor.submit(
            rows,
            arrived=exchange.context.started,
            timeout=exchange.timeout(self._predictor.timeout),
            done=partial(exchange.settle, partial(self._answer, many)),
        )

    def _rows(self, value: Any) -> tuple[list[Any], bool]:
        key = self._key
        if type(value) is not dict or key not in value:
            name = self._predictor.identity.name
            takes = "texts" if self._width is None else f"rows of {self._width} numbers"
            raise Refusal(INVALID, f"found no `{key}`: {name} takes {takes}", allowed=self._example)
        if len(value) > 1:
            unknown = next(name for name in value if name != key)
            raise Refusal(INVALID, f"unknown key `{unknown[:64]}`", allowed=self._example)
        given, limits = value[key], self._predictor.limits
        if self._width is None:
            if type(given) is not list:
                return [check_text(given, limits, where=key)], False
            return check_texts(given, limits, where=key), True
        if type(given) is list and given and type(given[0]) is list:
            return check_features(given, self._width, limits, where=key), True
        return [check_features_row(given, self._width, where=key)], False

    def _answer(self, many: bool, exchange: Exchange, job: Job) -> None:
        predictor = self._predictor
        labels = predictor.labels
        found = [
            {"label": label, "scores": dict(zip(labels, scores, strict=True))}
            for label, scores in zip(*predictor.answer(job, exchange.context), strict=True)
        ]
        told: dict[str, Any] = {"predictions": found} if many else found[0]
        told["version"] = predictor.identity.version
        told["request_id"] = exchange.context.request_id
        exchange.reply(200, orjson.dumps(told))
