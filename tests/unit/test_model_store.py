"""The model store: whole copies only, read-only, healed, shared, and swept with care."""

import errno
import os
import shutil
import signal
import stat
import threading

import pytest

from openautoglm.artifacts.digest import folder_digest
from openautoglm.config.project import Project
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError
from tests.support.disk import small_disk
from tests.support.registry import write_compressed
from tests.support.store import put_elsewhere


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "compressed"
    write_compressed(folder, 0)
    return folder


@pytest.fixture
def digest(model):
    return folder_digest(model / "payload")


@pytest.fixture
def models(tmp_path):
    return ModelStore(Project(tmp_path / "项目"))


def parts(models):
    return [path for path in models.root.glob(".*") if "part" in path.name]


def test_a_model_is_copied_with_its_choice(models, model, digest):
    assert not models.has(digest)
    folder = models.put(model, digest)
    assert folder == models.folder(digest)
    assert models.has(digest)
    assert models.verify(digest) == folder
    for name in ("choice.json", "payload/model.json", "payload/glm/fp32.onnx"):
        assert (folder / name).read_bytes() == (model / name).read_bytes()


def test_nobody_may_write_to_what_is_stored(models, model, digest):
    folder = models.put(model, digest)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    assert modes == {0o444, 0o555}


def test_what_is_there_is_not_copied_again(models, model, digest):
    folder = models.put(model, digest)
    before = folder.stat().st_ino
    shutil.rmtree(model)
    assert models.put(model, digest) == folder
    assert folder.stat().st_ino == before


@pytest.mark.parametrize("damage", ["changed", "removed", "emptied"])
def test_a_damaged_copy_is_found_and_healed(models, model, digest, damage):
    graph = models.put(model, digest) / "payload" / "glm" / "fp32.onnx"
    for folder in graph.parents[:3]:
        folder.chmod(0o755)
    graph.chmod(0o644)
    if damage == "changed":
        graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    elif damage == "removed":
        graph.unlink()
    else:
        shutil.rmtree(graph.parents[1])
    with pytest.raises(ArtifactError):
        models.verify(digest)
    models.put(model, digest)
    models.verify(digest)
    assert stat.S_IMODE(graph.stat().st_mode) == 0o444
    assert parts(models) == []


def test_a_model_that_is_not_what_its_digest_says_is_not_stored(models, model, digest):
    (model / "payload" / "glm" / "fp32.onnx").write_bytes(b"junk")
    with pytest.raises(ArtifactError, match="digest is") as caught:
        models.put(model, digest)
    assert caught.value.allowed == digest
    assert list(models.root.glob("sha256-*")) == []
    assert parts(models) == []


def test_a_model_that_is_missing_is_told(models, tmp_path, digest):
    with pytest.raises(ArtifactError, match="no compressed model"):
        models.put(tmp_path / "nowhere", digest)


def test_a_file_that_cannot_be_read_is_named(models, model, digest, monkeypatch):
    def refuse(source, _):
        raise PermissionError(errno.EACCES, "Permission denied", str(source))

    monkeypatch.setattr("openautoglm.deploy.store.shutil.copyfile", refuse)
    with pytest.raises(ArtifactError, match="Permission denied") as caught:
        models.put(model, digest)
    assert str(model) in caught.value.where
    assert parts(models) == []


@pytest.mark.parametrize("digest", ["", "../../etc", "sha256-1", f"sha256-{'a' * 63}/"])
def test_what_is_no_digest_becomes_no_path(models, digest):
    with pytest.raises(ArtifactError, match="found the digest"):
        models.folder(digest)


def started(models, model, digest, kill_at=None):
    return put_elsewhere(models.root.parents[1], model, digest, kill_at)


@pytest.mark.parametrize("kill_at", [1, 4])
def test_a_killed_copy_leaves_nothing_that_looks_like_a_model(models, model, digest, kill_at):
    process = started(models, model, digest, kill_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not models.has(digest)
    assert len(parts(models)) == 1
    models.put(model, digest)
    assert models.verify(digest)
    assert parts(models) == []


def test_two_at_once_put_one(models, model, digest):
    processes = [started(models, model, digest) for _ in range(4)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert [path.name for path in models.root.glob("sha256-*")] == [digest]
    assert models.verify(digest)


def test_a_sweep_removes_what_nobody_names(models, model, digest, tmp_path):
    other = tmp_path / "other"
    write_compressed(other, 1)
    unnamed = folder_digest(other / "payload")
    models.put(model, digest)
    models.put(other, unnamed)
    (models.root / f".{unnamed}.part-999999999").mkdir()
    assert models.sweep(lambda: {digest}) == [unnamed]
    assert models.verify(digest)
    assert not models.has(unnamed)
    assert [path.name for path in models.root.iterdir() if path.name != ".lock"] == [digest]


def test_a_sweep_that_cannot_know_removes_nothing(models, model, digest):
    def damaged():
        raise ArtifactError("a line of the ledger was damaged")

    models.put(model, digest)
    with pytest.raises(ArtifactError, match="damaged"):
        models.sweep(damaged)
    assert models.verify(digest)


def test_a_sweep_leaves_a_model_that_is_about_to_be_named(models, model, digest):
    found = []
    with models.reserved():
        models.put(model, digest)
        sweeper = threading.Thread(target=lambda: found.append(models.sweep(set)))
        sweeper.start()
        sweeper.join()
    assert found == [[]]
    assert models.verify(digest)
    assert models.sweep(set) == [digest]


def test_a_store_that_was_never_used_is_swept_too(models):
    assert models.sweep(set) == []
    assert not models.root.exists()


def test_a_full_disk_keeps_nothing_of_the_attempt(models, model):
    (model / "payload" / "large").write_bytes(os.urandom(300_000))
    digest = folder_digest(model / "payload")
    with small_disk(models.root, "200k"):
        with pytest.raises(OSError, match="No space left") as caught:
            models.put(model, digest)
        assert caught.value.errno == errno.ENOSPC
        assert not models.has(digest)
        assert parts(models) == []


def test_a_disk_that_is_full_at_once_is_told_as_such(models, model, digest, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("openautoglm.deploy.store.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        models.put(model, digest)
    assert parts(models) == []
    assert list(models.root.glob("sha256-*")) == []
