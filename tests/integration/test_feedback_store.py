"""The feedback store in a SQLite file."""

from contextlib import closing

import pytest

from openautoglm.errors import StoreError
from openautoglm.feedback.store import FeedbackStore
from tests.conformance.feedback import OLD, FeedbackConformance, answer


class TestSqlite(FeedbackConformance):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/feedback.db"

    def test_only_this_user_may_read_it_whatever_its_folder_is_called(self, tmp_path):
        folder = tmp_path / "what? 50%#"
        folder.mkdir()
        with closing(FeedbackStore(f"sqlite:///{folder}/feedback.db")) as store:
            store.record(OLD, [answer("a")])
            modes = {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}
        assert modes == {f"feedback.db{end}": 0o600 for end in ("", "-shm", "-wal")}

    def test_a_place_that_is_none_is_an_error_that_names_it(self, tmp_path):
        store = FeedbackStore(f"sqlite:///{tmp_path}/none/feedback.db")
        with closing(store), pytest.raises(StoreError) as error:
            store.record(OLD, [answer("a")])
        assert "none/feedback.db" in str(error.value)

    def test_a_file_that_is_no_database_is_an_error(self, tmp_path):
        (tmp_path / "feedback.db").write_bytes(b"text" * 1000)
        store = FeedbackStore(f"sqlite:///{tmp_path}/feedback.db")
        with closing(store), pytest.raises(StoreError, match="not a database"):
            store.label("small", "a", ["文学"])
