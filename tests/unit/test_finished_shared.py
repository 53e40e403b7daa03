"""Outputs that several workers keep and take at a time."""

import multiprocessing

import pytest

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import Manifest, read_manifest, write_manifest
from openautoglm.steps.finished import keep, take

PROCESSES = multiprocessing.get_context("spawn")


def made(folder, text):
    (folder / PAYLOAD / "rows").mkdir(parents=True)
    for number in range(10):
        (folder / PAYLOAD / "rows" / f"{number}.txt").write_text(text)
    empty = {key: {} for key in ("inputs", "params", "lineage", "history", "environment")}
    digest = folder_digest(folder / PAYLOAD)
    write_manifest(folder, Manifest(step="prepare", digest=digest, code="c", seconds=0, **empty))
    return folder


@pytest.fixture
def out(tmp_path):
    return made(tmp_path / "out", "rows")


def work(root, name, barrier, told):
    """Keep more than there is place for, and take what others may be removing."""
    store, outs = root / "kept", [made(root / f"{name}-{n}", f"rows {n}") for n in range(12)]
    barrier.wait()
    wrong = []
    for number in range(60):
        attempt = f"sha256-{number % 12}"
        try:
            keep(store, attempt, outs[number % 12])
            if known := take(store, attempt, root / f"{name}-taken"):
                read_manifest(root / f"{name}-taken")
                assert known.digest == folder_digest(outs[number % 12] / PAYLOAD)
        except Exception as error:
            wrong.append(repr(error))
    told.put(wrong)


def test_workers_that_share_a_store_take_whole_outputs_or_none(tmp_path):
    barrier, told = PROCESSES.Barrier(3), PROCESSES.Queue()
    started = [
        PROCESSES.Process(target=work, args=(tmp_path, name, barrier, told)) for name in "abc"
    ]
    for process in started:
        process.start()
    assert [told.get(timeout=120) for _ in started] == [[], [], []]
    for process in started:
        process.join()


def test_what_cannot_be_kept_is_said_and_stops_nobody(out, tmp_path, capsys):
    (tmp_path / "kept").write_text("no folder")
    keep(tmp_path / "kept", "sha256-a", out)
    assert "not kept for later runs" in capsys.readouterr().err


def test_what_a_killed_worker_left_of_another_output_goes(out, tmp_path):
    store = tmp_path / "kept"
    half = store / ".sha256-b.part-1999999999"
    half.mkdir(parents=True)
    keep(store, "sha256-a", out)
    assert [path.name for path in store.iterdir()] == ["sha256-a"]


def test_what_another_worker_kept_meanwhile_stays(out, tmp_path):
    store = tmp_path / "kept"
    keep(store, "sha256-a", out)
    before = (store / "sha256-a").stat().st_ino
    keep(store, "sha256-a", out)
    assert (store / "sha256-a").stat().st_ino == before
