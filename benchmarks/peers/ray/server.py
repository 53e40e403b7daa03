"""Ray Serve: two replicas with dynamic batching behind its proxy."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import ray
from bare import Bare, arguments
from ray import serve
from starlette.requests import Request

QUIET = {"enable_access_log": False, "log_level": "WARNING"}


@serve.deployment(
    num_replicas=2,
    max_ongoing_requests=256,
    ray_actor_options={"num_cpus": 1},
    logging_config=QUIET,
)
class Classifier:
    """Texts in, answers out."""

    def __init__(self, folder: Path) -> None:
        self._model = Bare(folder)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def predict(self, texts: list[str]) -> list[dict[str, object]]:
        """One call of the graph."""
        return self._model.answers(texts)

    async def __call__(self, request: Request) -> dict[str, Any]:
        """One request."""
        answer = await self.predict((await request.json())["text"])
        return {**answer, "request_id": os.urandom(8).hex()}


async def wait() -> None:
    """Until a signal ends the process; Ray ends its own with it."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    given = arguments()
    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200_000_000)
    http = {"host": "127.0.0.1", "port": given.port}
    serve.start(http_options=http, logging_config=QUIET)
    serve.run(Classifier.bind(given.model), route_prefix="/v1/predict")
    asyncio.run(wait())
