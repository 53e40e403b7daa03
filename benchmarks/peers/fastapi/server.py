"""FastAPI as most people serve a model: two workers, a sync endpoint, one call a request."""

from __future__ import annotations

import os
from pathlib import Path

import uvicorn
from bare import Bare, arguments
from fastapi import FastAPI
from pydantic import BaseModel

FOLDER = "PEER_MODEL"


class Request(BaseModel):
    """A text."""

    text: str


class Answer(BaseModel):
    """Its label and the score of each."""

    label: str
    scores: dict[str, float]
    version: str
    request_id: str


def create() -> FastAPI:
    """The application of one worker."""
    model, app = Bare(Path(os.environ[FOLDER])), FastAPI()

    @app.post("/v1/predict")
    def predict(request: Request) -> Answer:
        return Answer(**model.answers([request.text])[0], request_id=os.urandom(8).hex())

    return app


if __name__ == "__main__":
    given = arguments()
    os.environ[FOLDER] = str(given.model)
    uvicorn.run(
        "server:create",
        factory=True,
        port=given.port,
        workers=2,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_worker_healthcheck=3600,  # it stands still while others are measured
    )
