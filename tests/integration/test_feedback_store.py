"""The feedback store in a SQLite file."""

import subprocess
import sys
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

    def test_a_second_store_of_one_process_takes_no_locks_from_the_first(self, url, tmp_path):
        """As a replica has them, one for answers and one for labels, while others come and go."""
        with (
            closing(FeedbackStore(url, durable=False)) as first,
            closing(FeedbackStore(url)) as two,
        ):
            first.record(OLD, [answer("a")])
            two.label("small", "a", ["文学"])
            assert _counted(tmp_path) == 1  # whoever ends takes the log away, if nobody has it
            first.record(OLD, [answer("b")])
            assert _counted(tmp_path) == 2


def _counted(folder):
    """Answers that another process finds."""
    code = "import sqlite3, sys; print(*next(sqlite3.connect(sys.argv[1]).execute(sys.argv[2])))"
    asked = [folder / "feedback.db", "select count(*) from feedback_answers"]
    return int(subprocess.check_output([sys.executable, "-c", code, *asked]))
