"""What a kill can leave of DVC's own files, and who may remove it."""

import shutil
import subprocess
import sys

import pytest

from openautoglm.data.locks import remove_broken
from openautoglm.errors import BusyError

LOCK = """\
schema: '2.0'
stages:
  one:
    cmd: echo
    outs:
    - path: one
      hash: md5
      md5: 5f2a
"""
HOLD = """
import sys
from dvc.repo import Repo
with Repo(sys.argv[1]) as repo, repo.lock:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A repository in which nothing was done; tests copy it."""
    folder = tmp_path_factory.mktemp("empty")
    for command in (("git", "init", "-q"), (sys.executable, "-m", "dvc", "init", "-q")):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def repository(empty, tmp_path):
    return shutil.copytree(empty, tmp_path, dirs_exist_ok=True)


def test_whole_files_stay(repository):
    (repository / "dvc.lock").write_text(LOCK, encoding="utf-8")
    assert remove_broken(repository) == []
    assert (repository / "dvc.lock").read_text(encoding="utf-8") == LOCK


@pytest.mark.parametrize("end", [0, 20, 31, 55, 70, 100])
def test_a_lock_that_was_cut_off_is_removed_and_told(repository, end):
    lines = LOCK.encode()[:end]
    (repository / "dvc.lock").write_bytes(lines)
    told = remove_broken(repository)
    gone = not (repository / "dvc.lock").exists()
    assert gone is bool(told)
    done = subprocess.run(
        (sys.executable, "-m", "dvc", "status", "-q"), cwd=repository, capture_output=True
    )
    assert b"validation failed" not in done.stdout + done.stderr


def test_a_table_of_locks_that_was_cut_off_is_removed(repository):
    path = repository / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"/some', encoding="utf-8")
    assert "rwlock" in remove_broken(repository)[0]
    assert not path.exists()


def test_nothing_is_removed_while_dvc_is_at_work(repository):
    (repository / "dvc.lock").write_text(LOCK[:55], encoding="utf-8")
    with subprocess.Popen(
        (sys.executable, "-c", HOLD, str(repository)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match="DVC is at work"):
            remove_broken(repository)
        holder.stdin.close()
    assert (repository / "dvc.lock").exists()
