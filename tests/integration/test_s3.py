"""DVC against an S3-compatible server: push, pull, and a source whose rows are in a bucket."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from openautoglm.data.remotes import default_remote
from openautoglm.errors import SourceError
from tests.support.data import Sandbox, digest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("s3")]
BIN = Path(sys.executable).parent
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DVC_NO_ANALYTICS": "1",
}
BUCKET = "rows"
ROWS = "text,label\n" + "".join(f"文本{i},{'甲' if i % 2 else '乙'}\n" for i in range(60))


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server)
    client.create_bucket(Bucket=BUCKET)
    yield
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)


def call(folder, *command):
    path = f"{BIN}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **KEYS, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def empty(server, tmp_path_factory):
    """A repository whose remote is the bucket; tests copy it."""
    folder = tmp_path_factory.mktemp("empty") / "repo"
    folder.mkdir()
    call(folder, "git", "init", "-q", "-b", "main")
    call(folder, "dvc", "init", "-q")
    call(folder, "dvc", "remote", "add", "-q", "-d", "s3", f"s3://{BUCKET}/dvc")
    call(folder, "dvc", "remote", "modify", "-q", "s3", "endpointurl", server)
    return folder


@pytest.fixture
def repository(empty, bucket):
    """Makes one in a folder."""

    def make(folder):
        return shutil.copytree(empty, folder)

    return make


def commit(folder):
    call(folder, "git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    call(folder, "git", *identity, "commit", "-qm", "rows")


def test_what_fetch_wrote_is_pushed_and_pulled_back(tmp_path, repository):
    root = repository(tmp_path / "project")
    assert "s3: s3://rows/dvc" in default_remote(root)
    box = Sandbox(root)
    box.write("rows.csv", ROWS)
    before = digest(box.fetch({"kind": "file", "path": "data/source/rows.csv"}))
    call(root, "dvc", "add", "-q", "data/raw")
    call(root, "dvc", "push", "-q")
    shutil.rmtree(root / "data" / "raw")
    shutil.rmtree(root / ".dvc" / "cache")
    call(root, "dvc", "pull", "-q")
    assert digest(root / "data" / "raw") == before
    box.prepare()


def test_rows_in_a_bucket_are_read_through_their_repository(tmp_path, repository):
    repo = repository(tmp_path / "repo")
    (repo / "rows.csv").write_text(ROWS, encoding="utf-8")
    call(repo, "dvc", "add", "-q", "rows.csv")
    commit(repo)
    call(repo, "dvc", "push", "-q")
    shutil.rmtree(repo / ".dvc" / "cache")
    source = {"kind": "dvc", "repo": "../repo", "path": "rows.csv", "rev": "main"}
    raw = Sandbox(tmp_path / "project").fetch(source)
    assert (raw / "payload" / "rows.csv").read_text(encoding="utf-8") == ROWS


def test_rows_that_are_not_in_the_bucket_are_told(tmp_path, repository):
    repo = repository(tmp_path / "repo")
    (repo / "rows.csv").write_text(ROWS, encoding="utf-8")
    call(repo, "dvc", "add", "-q", "rows.csv")
    commit(repo)
    shutil.rmtree(repo / ".dvc" / "cache")
    source = {"kind": "dvc", "repo": "../repo", "path": "rows.csv", "rev": "main"}
    with pytest.raises(SourceError, match="cannot be read"):
        Sandbox(tmp_path / "project").fetch(source)
