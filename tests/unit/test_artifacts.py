"""Digests, whole-or-not-at-all folders, manifests, locks."""

import json
import os
import subprocess
import sys

import pytest

from openautoglm.artifacts import folder as folders
from openautoglm.artifacts.code import code_digest, imported_modules
from openautoglm.artifacts.digest import folder_digest, value_digest
from openautoglm.artifacts.folder import published, remove_stale, write_text
from openautoglm.artifacts.lock import exclusive
from openautoglm.artifacts.manifest import Manifest, read_manifest, write_manifest
from openautoglm.errors import ArtifactError, BusyError


def fill(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_digest_is_a_function_of_names_and_bytes(tmp_path):
    one = fill(tmp_path / "one", {"a": "1", "b/c": "2"})
    two = fill(tmp_path / "two", {"b/c": "2", "a": "1"})
    (two / "empty").mkdir()
    assert folder_digest(one) == folder_digest(two)
    fill(two, {"b/c": "3"})
    assert folder_digest(one) != folder_digest(two)


def test_a_file_that_moved_changes_the_digest(tmp_path):
    one = fill(tmp_path / "one", {"ab": "c"})
    two = fill(tmp_path / "two", {"a/b": "c"})
    assert folder_digest(one) != folder_digest(two)


def test_a_link_has_no_digest(tmp_path):
    folder = fill(tmp_path / "f", {"a": "1"})
    (folder / "link").symlink_to(folder / "a")
    with pytest.raises(ArtifactError, match="only plain files"):
        folder_digest(folder)


def test_the_order_of_keys_does_not_change_a_value_digest():
    assert value_digest({"a": 1, "b": [2]}) == value_digest({"b": [2], "a": 1})
    assert value_digest({"a": 1}) != value_digest({"a": 1.5})


def test_an_interrupted_folder_leaves_the_old_one(tmp_path):
    out = fill(tmp_path / "out", {"a": "old"})

    def interrupted():
        with published(out) as part:
            (part / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert (out / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_attempt_left_is_removed_by_the_next(tmp_path):
    fill(tmp_path / ".out.part-999999999", {"a": "half"})
    with published(tmp_path / "out") as part:
        (part / "a").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_live_process_writes_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as other:
        fill(tmp_path / f".out.part-{other.pid}", {"a": "half"})
        remove_stale(tmp_path / "out")
        assert len(list(tmp_path.iterdir())) == 1
        other.kill()
    remove_stale(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_of_another_machine_writes_is_left_alone_for_a_day(tmp_path):
    # Pods share a volume, and in each of them the first process has the same id.
    other = tmp_path / f".out.part-{os.getpid()}@another-pod"
    fill(other, {"a": "half"})
    with published(tmp_path / "out") as part:
        (part / "a").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "out"]
    os.utime(other, (0, 0))
    remove_stale(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "1")
    write_text(path, "2")
    assert path.read_text() == "2"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def made(tmp_path):
    folder = fill(tmp_path / "made", {"payload/a": "1"})
    manifest = Manifest(
        step="fetch",
        digest=folder_digest(folder / "payload"),
        inputs={},
        params={"seed": 1},
        code="sha256-0",
        lineage={},
        history={},
        environment={},
        seconds=0.1,
    )
    write_manifest(folder, manifest)
    return folder


def test_a_manifest_is_read_back(made):
    assert read_manifest(made).params == {"seed": 1}


def test_a_changed_payload_is_noticed(made):
    (made / "payload" / "a").write_text("2")
    with pytest.raises(ArtifactError, match="changed after it was made"):
        read_manifest(made)


def test_a_folder_without_manifest_is_no_output(tmp_path):
    with pytest.raises(ArtifactError, match="not the output of a step"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["{", json.dumps({"step": "x"}), "\x00"])
def test_a_broken_manifest_is_refused(made, text):
    (made / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_manifest(made)


def test_the_second_holder_is_told_who_is_first(tmp_path):
    lock = tmp_path / "a.lock"
    with exclusive(lock):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, pathlib\n"
                "from openautoglm.artifacts.lock import exclusive\n"
                "from openautoglm.errors import BusyError\n"
                "try:\n"
                "    exclusive(pathlib.Path(sys.argv[1])).__enter__()\n"
                "except BusyError as error:\n"
                "    print(error); sys.exit(error.exit_code)",
                str(lock),
            ],
            capture_output=True,
            text=True,
        )
    assert done.returncode == BusyError.exit_code
    assert "process" in done.stdout
    assert "pytest" in done.stdout or "execnet" in done.stdout or "-c" in done.stdout
    with exclusive(lock):
        pass


def test_a_step_depends_on_what_its_modules_import():
    found = imported_modules("openautoglm.steps.fetch")
    assert "openautoglm.errors" in found
    assert "openautoglm.steps.fetch" in found
    assert not any(name.startswith("openautoglm.training") for name in found)


def test_the_code_digest_is_of_the_module_not_of_the_package():
    assert code_digest("openautoglm.errors") != code_digest("openautoglm.artifacts.digest")


def test_a_secret_is_this_users_alone_also_while_it_is_written(tmp_path, monkeypatch):
    modes = []
    real = folders.sync
    monkeypatch.setattr(
        folders, "sync", lambda path: modes.append(path.stat().st_mode & 0o777) or real(path)
    )
    folders.write_text(tmp_path / "a", "password", secret=True)
    folders.write_text(tmp_path / "a", "another", secret=True)
    assert modes[0] == modes[2] == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").read_text() == "another"
