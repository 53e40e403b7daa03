"""LitServe: two workers, batches of what came within a moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import litserve
from bare import Bare, arguments


class Classifier(litserve.LitAPI):
    """Texts in, answers out."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(**options)
        self._folder = folder

    def setup(self, device: str) -> None:
        """Called in each worker."""
        self._model = Bare(self._folder)

    def decode_request(self, request: dict[str, str]) -> str:
        """The text of one request."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """As it is."""
        return list(inputs)

    def predict(self, x: list[str]) -> list[dict[str, object]]:
        """One call of the graph."""
        return self._model.answers(x)

    def unbatch(self, output: list[dict[str, object]]) -> list[dict[str, object]]:
        """As it is."""
        return output

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """The answer of one request."""
        return {**output, "request_id": os.urandom(8).hex()}


if __name__ == "__main__":
    given = arguments()
    api = Classifier(given.model, max_batch_size=32, batch_timeout=0.002, api_path="/v1/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(
        host="127.0.0.1",
        port=given.port,
        generate_client_file=False,
        num_api_servers=2,
        log_level="warning",
    )
