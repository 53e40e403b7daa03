"""What several integration tests share: a real PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A server; under root it runs as another user, who must reach its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver")
    folder = Path(tempfile.mkdtemp(prefix="openautoglm-postgres-"))
    folder.chmod(0o755)
    try:
        running = pgserver.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:  # whatever keeps PostgreSQL from starting is no fault of ours
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield running
    running.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(postgres: Any) -> str:
    """Its URL."""
    found: str = postgres.get_uri()
    return found
