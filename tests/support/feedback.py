"""A feedback store's settings, a store of an older release, and a client that sends labels."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from ruamel.yaml import YAML

from openautoglm.config.postgres import with_driver
from openautoglm.feedback.answers import Source
from tests.support.replica import Replica, client

_OLD = sa.MetaData()


def _old(name: str, *columns: Any) -> sa.Table:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    key = sa.Column("seq", number, primary_key=True, autoincrement=True)
    return sa.Table(f"feedback_{name}", _OLD, key, *columns, sqlite_autoincrement=True)


def _columns(*names: str) -> list[sa.Column[Any]]:
    kinds = {"time": sa.Double, "place": sa.Integer}
    return [sa.Column(name, kinds.get(name, sa.Text), nullable=False) for name in names]


_SOURCES = sa.Table(
    "feedback_sources",
    _OLD,
    sa.Column("key", sa.Text, primary_key=True),
    *_columns("name", "version", "digest", "family", "variant", "classes"),
)
_ANSWERS = _old(
    "answers",
    *_columns("request_id", "source", "time", "labels", "confidence"),
    sa.UniqueConstraint("request_id", "source"),
)
_LABELS = _old("labels", sa.Column("request_id", sa.Text, unique=True), *_columns("time", "labels"))
_REQUESTS = _old(
    "requests",
    *_columns("request_id", "place", "time", "input"),
    sa.UniqueConstraint("request_id", "place"),
)


class OldStore:
    """A store as version 0.1 made it, when it did not tell services apart.

    Args:
        url: As a `FeedbackStore` takes it.
    """

    def __init__(self, url: str) -> None:
        place = url if url.startswith("sqlite") else with_driver(url)
        self._engine = sa.create_engine(place)
        _OLD.create_all(self._engine)

    def answer(self, source: Source, request_id: str, text: str, label: str | None) -> None:
        """Write as an old replica does: an answer `文学`, its text, and its label if it has one."""
        told = (source.name, source.version, source.digest, source.family, source.variant)
        rows: list[tuple[sa.Table, tuple[object, ...]]] = [
            (_ANSWERS, (request_id, source.key, 1.0, '["文学"]', "[0.5]")),
            (_REQUESTS, (request_id, 0, 1.0, f'"{text}"')),
            *([(_LABELS, (request_id, 1.0, f'["{label}"]'))] if label else []),
        ]
        with self._engine.begin() as connection:
            known = sa.select(_SOURCES.c.key).where(_SOURCES.c.key == source.key)
            if connection.execute(known).first() is None:
                rows.insert(0, (_SOURCES, (source.key, *told, '["历史", "文学"]')))
            for table, row in rows:
                names = [column.name for column in table.columns if column.name != "seq"]
                connection.execute(sa.insert(table).values(dict(zip(names, row, strict=True))))

    def forget(self, table: str, request_id: str) -> None:
        """Remove what one table has of a request, as retention does."""
        found = _OLD.tables[f"feedback_{table}"]
        with self._engine.begin() as connection:
            connection.execute(sa.delete(found).where(found.c.request_id == request_id))

    def close(self) -> None:
        """End the connections."""
        self._engine.dispose()


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
