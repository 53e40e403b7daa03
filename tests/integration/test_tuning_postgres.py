"""A search whose trials are kept in a real PostgreSQL, started for this test."""

import pytest

from openautoglm.tuning.search import search
from openautoglm.tuning.storage import Storage
from tests.support.tuning import PLAN, SPACE, Objective, times

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


def test_the_database_changes_nothing(server, tmp_path):
    storage = Storage(server, "tune")
    found = search(Objective(tmp_path), SPACE, PLAN, storage, workers=2)
    assert set(times(tmp_path, "begun").values()) == {1}
    (tmp_path / "sqlite").mkdir()
    sqlite = Storage(f"sqlite:///{tmp_path}/study.db", "tune")
    assert search(Objective(tmp_path / "sqlite"), SPACE, PLAN, sqlite) == found
    assert search(Objective(tmp_path), SPACE, PLAN, storage) == found
    assert set(times(tmp_path, "begun").values()) == {1}
