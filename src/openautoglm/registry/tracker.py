"""Runs in MLflow, found again by their key after a kill."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from openautoglm.config.project import Project
from openautoglm.registry.store import Store, answering, open_store

KEY = "openautoglm.key"
PARENT = "mlflow.parentRunId"
_BATCH = 100
_LONGEST = 6000
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")


class Run:
    """One MLflow run that is being logged; see `openautoglm.observability.tracking.TrackedRun`.

    Attributes:
        id: MLflow's run id.
    """

    def __init__(self, store: Store, run_id: str, *, resumed: bool) -> None:
        self.id = run_id
        self._store = store
        self._client: MlflowClient = store.client
        self._known: dict[str, str] = {}
        self._resumed = resumed
        self._points: dict[str, dict[int, float]] = {}
        if resumed:
            self._known = dict(self._client.get_run(run_id).data.params)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters, nested ones as `a.b`; a parameter that has a value keeps it."""
        flat = {key: _told(value) for key, value in flatten(values).items()}
        new = {name(key): value for key, value in flat.items() if name(key) not in self._known}
        with answering(self._store.uri):
            for some in _chunks([Param(key, value) for key, value in new.items()]):
                self._client.log_batch(self.id, params=some)
        self._known |= new

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics; a point that a killed attempt has logged is not logged again."""
        now = int(1000 * time.time())
        with answering(self._store.uri):
            new = [
                Metric(name(key), float(value), now, step or 0)
                for key, value in values.items()
                if not self._has(name(key), float(value), step)
            ]
            for some in _chunks(new):
                self._client.log_batch(self.id, metrics=some)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file or a folder's contents."""
        with answering(self._store.uri):
            if path.is_dir():
                self._client.log_artifacts(self.id, str(path), folder)
            else:
                self._client.log_artifact(self.id, str(path), folder)

    @contextmanager
    def nested(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[Run]:
        """The run with this name and key below this one; see `MlflowTracker.run`."""
        with _open(self._store, name, key, {**(tags or {}), PARENT: self.id}) as run:
            yield run

    def note(self, text: str) -> None:
        """Set the run's description, Markdown."""
        with answering(self._store.uri):
            self._client.set_tag(self.id, "mlflow.note.content", text)

    def rename(self, title: str) -> None:
        """Show the run under another name; its key stays."""
        with answering(self._store.uri):
            self._client.update_run(self.id, name=title)

    def _has(self, key: str, value: float, step: int | None) -> bool:
        if not self._resumed:
            return False
        if key not in self._points:
            history = self._client.get_metric_history(self.id, key)
            self._points[key] = {point.step: point.value for point in history}
        found = self._points[key].get(step or 0)
        return found is not None and (step is not None or found == value)


class MlflowTracker:
    """Opens runs of a store; see `openautoglm.observability.tracking.Tracker`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def run(self, name: str, *, key: str, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
        """The run with this name and key: a new one, or the same again after a kill.

        It ends FINISHED, FAILED when the block raises, KILLED when it is interrupted. A process
        that was killed leaves it RUNNING, until the next attempt takes it up.
        """
        with _open(self._store, name, key, tags or {}) as run:
            yield run


@contextmanager
def _open(store: Store, name: str, key: str, tags: Mapping[str, str]) -> Iterator[Run]:
    client = store.client
    with answering(store.uri):
        run_id = _find(store, f"{name} {key}")
        resumed = run_id is not None
        if run_id is None:
            run_id = client.create_run(
                store.experiment,
                run_name=name,
                tags={KEY: f"{name} {key}", "mlflow.source.name": "openautoglm", **tags},
            ).info.run_id
        else:
            client.update_run(run_id, status="RUNNING")
            for tag, value in tags.items():
                client.set_tag(run_id, tag, value)
    run = Run(store, run_id, resumed=resumed)
    try:
        yield run
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        with suppress(Exception):  # what went wrong first is what must be told
            client.set_terminated(run_id, "KILLED" if killed else "FAILED")
        raise
    with answering(store.uri):
        client.set_terminated(run_id)


def _find(store: Store, key: str) -> str | None:
    runs = store.client.search_runs(
        [store.experiment],
        filter_string=f"tags.`{KEY}` = '{key}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return runs[0].info.run_id if runs else None


def tracker_of(project: Project) -> MlflowTracker:
    """The tracker of a project's store.

    Raises:
        StoreError: The store does not answer.
    """
    return MlflowTracker(open_store(project))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def name(text: str) -> str:
    """A metric's or parameter's name in the characters that MLflow allows."""
    return _NOT_ALLOWED.sub("_", text)[:250]


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:_LONGEST]


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
