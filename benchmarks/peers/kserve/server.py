"""KServe's SDK: a custom model, two workers, one call a request."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import kserve
from bare import Bare, arguments

given = arguments()


class Classifier(kserve.Model):
    """Answers `POST /v1/models/classifier:predict`; the body is the same as everywhere."""

    def load(self) -> bool:
        """Workers are made after this; each reads the model when it is first asked."""
        self.ready = True
        return True

    @cached_property
    def _model(self) -> Bare:
        return Bare(given.model)

    def preprocess(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """The SDK's own asks for `instances`."""
        return payload

    def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """One text."""
        return {**self._model.answers([payload["text"]])[0], "request_id": os.urandom(8).hex()}


if __name__ == "__main__":
    model = Classifier("classifier")
    model.load()
    kserve.ModelServer(
        http_port=given.port,
        workers=2,
        enable_grpc=False,
        enable_latency_logging=False,
        event_loop="uvloop",
        access_log_format=None,
    ).start([model])
