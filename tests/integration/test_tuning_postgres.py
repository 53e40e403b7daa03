"""A search whose trials are kept in a real PostgreSQL, started for this test."""

import shutil
import tempfile
import warnings
from pathlib import Path

import pytest

from openautoglm.tuning.search import search
from openautoglm.tuning.storage import Storage
from tests.support.tuning import PLAN, SPACE, Objective, times

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def server():
    """URL of a server; under root it runs as another user, who must reach its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver")
    folder = Path(tempfile.mkdtemp(prefix="openautoglm-postgres-"))
    folder.chmod(0o755)
    try:
        running = pgserver.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:  # whatever keeps PostgreSQL from starting is no fault of ours
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield running.get_uri()
    running.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_database_changes_nothing(server, tmp_path):
    storage = Storage(server, "tune")
    found = search(Objective(tmp_path), SPACE, PLAN, storage, workers=2)
    assert set(times(tmp_path, "begun").values()) == {1}
    (tmp_path / "sqlite").mkdir()
    sqlite = Storage(f"sqlite:///{tmp_path}/study.db", "tune")
    assert search(Objective(tmp_path / "sqlite"), SPACE, PLAN, sqlite) == found
    assert search(Objective(tmp_path), SPACE, PLAN, storage) == found
    assert set(times(tmp_path, "begun").values()) == {1}
