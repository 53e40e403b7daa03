"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.once import empty_stores

# As many tests as the machine has cores run at a time: one thread each, and none that spins while
# it waits for others. Read when torch is loaded, here and in what tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

# The same examples in every run, and none that fails because the machine was busy. Other ones:
# `pytest --hypothesis-profile=default --hypothesis-seed=...`.
settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder that all processes of this run have."""
    own = tmp_path_factory.getbasetemp()
    found = own.parent if hasattr(request.config, "workerinput") else own
    empty_stores.shared = found
    return found
