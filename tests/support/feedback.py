"""A feedback store's settings, a small disk for it, and a client that sends labels."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from tests.support.replica import Replica, client


def settings(folder: Path, url: str | None = None, **more: Any) -> Path:
    """A file for `--feedback`; the store is a SQLite file in the folder unless it has a URL."""
    found = folder / "feedback.yaml"
    with found.open("w", encoding="utf-8") as stream:
        YAML().dump({"url": url or f"sqlite:///{folder}/feedback.db", **more}, stream)
    return found


def label(http: httpx.Client, request_id: str, given: object) -> httpx.Response:
    """Send a label."""
    return http.post("/v1/feedback", json={"request_id": request_id, "label": given})


def predicted(http: httpx.Client, text: object = "a") -> str:
    """The id of a prediction."""
    found: str = (
        http.post("/v1/predict", json={"text": text}).raise_for_status().json()["request_id"]
    )
    return found


class Labelling:
    """A client that predicts and labels on and on, until it is stopped or nobody answers.

    Attributes:
        acknowledged: Request ids to the labels that were said to stand.
    """

    def __init__(self, replica: Replica) -> None:
        self.acknowledged: dict[str, str] = {}
        self._replica = replica
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Labelling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with client(self._replica) as http:
            while not self._stop.is_set():
                try:
                    name = predicted(http)
                    answer = label(http, name, "long" if int(name, 16) % 2 else "short")
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.acknowledged[name] = answer.json()["label"]
