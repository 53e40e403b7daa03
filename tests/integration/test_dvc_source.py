"""Rows from a real git and DVC repository, at two revisions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openautoglm.errors import SourceError
from tests.support.data import Sandbox, digest, origin

pytestmark = pytest.mark.xdist_group("dvc-source")
BIN = Path(sys.executable).parent
OLD, NEW = "text,label\nalt,甲\n", "text,label\nneu,甲\n"


def call(folder, *command):
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def commit(folder, message):
    call(folder, "git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    call(folder, "git", *identity, "commit", "-qm", message)
    return call(folder, "git", "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Two commits of `data/rows.csv`, the first tagged v1, both pushed to a remote of its own."""
    folder = tmp_path_factory.mktemp("repository") / "repo"
    (folder / "data").mkdir(parents=True)
    call(folder, "git", "init", "-q", "-b", "main")
    call(folder, "dvc", "init", "-q")
    call(folder, "dvc", "remote", "add", "-q", "-d", "store", str(folder.parent / "store"))
    commits = []
    for text in (OLD, NEW):
        (folder / "data" / "rows.csv").write_text(text)
        (folder / "plain.csv").write_text(text)
        call(folder, "dvc", "add", "-q", "data/rows.csv")
        commits.append(commit(folder, "rows"))
    call(folder, "git", "tag", "v1", commits[0])
    call(folder, "dvc", "push", "-q", "-A")
    # The rows are in the remote and nowhere else.
    shutil.rmtree(folder / ".dvc" / "cache")
    (folder / "data" / "rows.csv").unlink()
    return folder, commits


def source(repo, **more):
    return {"kind": "dvc", "repo": str(repo), "path": "data/rows.csv"} | more


@pytest.mark.parametrize(("rev", "place", "text"), [("v1", 0, OLD), ("main", 1, NEW)])
def test_a_revision_gives_its_own_rows_and_its_commit(tmp_path, repository, rev, place, text):
    repo, commits = repository
    raw = Sandbox(tmp_path).fetch(source(repo, rev=rev))
    assert (raw / "payload" / "rows.csv").read_text() == text
    assert origin(raw)["origin"] == {
        "repo": "repo",
        "path": "data/rows.csv",
        "rev": rev,
        "commit": commits[place],
    }


def test_git_urls_clones_and_folders_give_one_digest(tmp_path, repository):
    repo, commits = repository
    found = set()
    for place in ("one", "two"):
        shutil.copytree(repo, tmp_path / place / "repo")
        box = Sandbox(tmp_path / place / "project")
        found.add(digest(box.fetch(source("../repo", rev=commits[0]))))
    assert len(found) == 1
    raw = Sandbox(tmp_path / "url").fetch(source(f"file://{repo}", rev="v1"))
    assert (raw / "payload" / "rows.csv").read_text() == OLD
    assert origin(raw)["origin"]["commit"] == commits[0]


def test_a_file_that_git_tracks_is_found_too(tmp_path, repository):
    raw = Sandbox(tmp_path).fetch(source(repository[0], rev="v1") | {"path": "plain.csv"})
    assert (raw / "payload" / "rows.csv").read_text() == OLD


def test_without_a_revision_the_folder_is_read_as_it_stands(tmp_path, repository):
    raw = Sandbox(tmp_path).fetch(source(repository[0]))
    assert (raw / "payload" / "rows.csv").read_text() == NEW
    assert origin(raw)["origin"]["commit"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rev": "v9"}, "revision v9"),
        ({"rev": "v1", "path": "data/now.csv"}, "data/now.csv"),
        ({"rev": "v1", "path": "data.csv"}, "data.csv"),
        ({"repo": "no/such/repo"}, "no/such/repo"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, repository, change, said):
    with pytest.raises(SourceError) as caught:
        Sandbox(tmp_path).fetch(source(repository[0]) | change)
    assert caught.value.exit_code == 2
    assert said in str(caught.value)
    assert "data.source.repo, path and rev" in str(caught.value)
    assert not (tmp_path / "data" / "raw").exists()


def test_a_folder_that_is_no_repository_is_told(tmp_path):
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        Sandbox(tmp_path / "project").fetch(source("../plain", rev="v1"))


def test_rows_that_were_never_pushed_are_told(tmp_path, repository):
    shutil.copytree(repository[0], tmp_path / "repo")
    call(tmp_path / "repo", "dvc", "remote", "modify", "store", "url", str(tmp_path / "empty"))
    commit(tmp_path / "repo", "another remote")
    with pytest.raises(SourceError, match="dvc push"):
        Sandbox(tmp_path / "project").fetch(source("../repo", rev="main"))
