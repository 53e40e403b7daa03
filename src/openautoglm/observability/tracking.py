"""Whoever wants to log gets a `Tracker`; MLflow's lives in `openautoglm.registry`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol


class TrackedRun(Protocol):
    """One run that is being logged."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; logging the same value again changes nothing."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics, as points of a curve when `step` is given."""

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file or a folder's contents."""

    def nested(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> AbstractContextManager[TrackedRun]:
        """The run with this key below this one: a new one, or the same again after a kill."""


class Tracker(Protocol):
    """Opens runs."""

    def run(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> AbstractContextManager[TrackedRun]:
        """The run with this key: a new one, or the same again after a kill."""


class _Silent:
    def params(self, values: Mapping[str, Any]) -> None: ...
    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None: ...
    def artifact(self, path: Path, folder: str | None = None) -> None: ...

    @contextmanager
    def nested(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        yield self


class SilentTracker:
    """Logs nothing: for tests and for callers without a tracking store."""

    @contextmanager
    def run(
        self, name: str, *, key: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrackedRun]:
        """A run that is forgotten at once."""
        yield _Silent()
