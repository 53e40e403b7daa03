"""BentoML: a service with two workers behind its adaptive batching."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
from bare import Bare, arguments

FOLDER = "PEER_MODEL"


@bentoml.service(
    workers=2,
    traffic={"timeout": 30, "max_concurrency": 4096},
    logging={"access": {"enabled": False}},
)
class Classifier:
    """Texts in, answers out."""

    def __init__(self) -> None:
        self._model = Bare(Path(os.environ[FOLDER]))

    @bentoml.api(route="/v1/predict", batchable=True, max_batch_size=32, max_latency_ms=1000)
    def predict(self, text: list[str]) -> list[dict[str, Any]]:
        """One call of the graph."""
        return [{**one, "request_id": os.urandom(8).hex()} for one in self._model.answers(text)]


if __name__ == "__main__":
    given = arguments()
    os.environ |= {FOLDER: str(given.model), "BENTOML_DO_NOT_TRACK": "True"}
    command = Path(sys.executable).parent / "bentoml"
    place = ("--working-dir", str(Path(__file__).parent))
    address = ("--host", "127.0.0.1", "--port", str(given.port))
    os.execv(command, [str(command), "serve", "server:Classifier", *place, *address])  # noqa: S606
