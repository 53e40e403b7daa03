"""Small fitted models, and replicas of them, shared by the tests of a session.

A plugin: a test module names it in `pytest_plugins`, and imports nothing from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from openautoglm.inference.model import Model, load
from tests.support.feedback import settings as feedback_file
from tests.support.once import made_once
from tests.support.replica import Replica, serving
from tests.support.rpc import text_model, wine_model


class Serve(Protocol):
    """Starts a replica of its own for a test."""

    def __call__(self, *settings: str) -> AbstractContextManager[Replica]:
        """Serve texts with these `key=value` settings."""


@pytest.fixture(scope="session")
def text_folder(shared: Path) -> Path:
    """A servable model of texts."""
    return made_once(shared / "text", text_model)


@pytest.fixture(scope="session")
def numeric_folder(shared: Path) -> Path:
    """A servable model of 13 numbers."""
    return made_once(shared / "numeric", wine_model)


@pytest.fixture(scope="session")
def text_predictions(text_folder: Path) -> Model:
    """The model that `text` serves."""
    return load(text_folder)


@pytest.fixture(scope="session")
def numeric_predictions(numeric_folder: Path) -> Model:
    """The model that `numeric` serves."""
    return load(numeric_folder)


@pytest.fixture
def serve(text_folder: Path, tmp_path: Path) -> Serve:
    """Starts replicas for one test."""

    def start(*settings: str) -> AbstractContextManager[Replica]:
        options = [part for setting in settings for part in ("--set", setting)]
        return serving(text_folder, tmp_path / "log", *options, OMP_NUM_THREADS="1")

    return start


@pytest.fixture(scope="session")
def text(text_folder: Path) -> Iterator[Replica]:
    """A replica of texts that keeps answers, as one of a service does."""
    kept = ("--feedback", str(feedback_file(text_folder)))
    with serving(text_folder, text_folder / "log", *kept, OMP_NUM_THREADS="1") as found:
        yield found


@pytest.fixture(scope="session")
def numeric(numeric_folder: Path) -> Iterator[Replica]:
    """A replica of 13 numbers as it comes."""
    with serving(numeric_folder, numeric_folder / "log", OMP_NUM_THREADS="1") as found:
        yield found
