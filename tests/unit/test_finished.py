"""Outputs of components, kept by what they were made from."""

import os

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD, published
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.steps.finished import keep, take


def made(folder, text="rows"):
    with published(folder) as part:
        (part / PAYLOAD).mkdir()
        (part / PAYLOAD / "file.txt").write_text(text)
        (part / "plot.txt").write_text("beside")
        write_manifest(
            part,
            Manifest(
                step="prepare",
                digest=folder_digest(part / PAYLOAD),
                inputs={},
                params={},
                code="c",
                lineage={},
                history={},
                environment={},
                seconds=0,
            ),
        )
    return folder


def test_what_was_kept_is_found_again_whole(tmp_path):
    keep(tmp_path / "kept", "sha256-a", made(tmp_path / "out"))
    found = take(tmp_path / "kept", "sha256-a", tmp_path / "again")
    assert found.digest == folder_digest(tmp_path / "again" / PAYLOAD)
    assert (tmp_path / "again" / "plot.txt").read_text() == "beside"


def test_nothing_is_found_under_another_digest(tmp_path):
    keep(tmp_path / "kept", "sha256-a", made(tmp_path / "out"))
    assert take(tmp_path / "kept", "sha256-b", tmp_path / "again") is None
    assert not (tmp_path / "again").exists()


def test_what_was_changed_behind_our_back_is_not_taken_and_goes(tmp_path):
    keep(tmp_path / "kept", "sha256-a", made(tmp_path / "out"))
    (tmp_path / "kept" / "sha256-a" / PAYLOAD / "file.txt").write_text("changed")
    assert take(tmp_path / "kept", "sha256-a", tmp_path / "again") is None
    assert not (tmp_path / "kept" / "sha256-a").exists()


def test_what_a_killed_process_left_half_written_is_not_taken(tmp_path):
    half = tmp_path / "kept" / ".sha256-a.part-1"
    half.mkdir(parents=True)
    (half / "manifest.json").write_text("{}")
    assert take(tmp_path / "kept", "sha256-a", tmp_path / "again") is None


def test_the_ones_not_used_for_longest_go_first(tmp_path):
    out, kept = made(tmp_path / "out"), tmp_path / "kept"
    for number in range(8):
        keep(kept, f"sha256-{number}", out)
        os.utime(kept / f"sha256-{number}", (number, number))
    take(kept, "sha256-0", tmp_path / "used")
    keep(kept, "sha256-8", out)
    left = {path.name for path in kept.iterdir()}
    assert "sha256-0" in left
    assert "sha256-1" not in left
    assert len(left) == 8


def test_a_change_of_an_output_changes_no_other_run_unseen(tmp_path):
    keep(tmp_path / "kept", "sha256-a", made(tmp_path / "out"))
    take(tmp_path / "kept", "sha256-a", tmp_path / "first")
    (tmp_path / "first" / PAYLOAD / "file.txt").write_text("edited")
    assert take(tmp_path / "kept", "sha256-a", tmp_path / "second") is None


def test_what_lies_beside_the_payload_is_nobody_elses_file(tmp_path):
    # No digest holds it, so a change there would be seen by nobody.
    keep(tmp_path / "kept", "sha256-a", made(tmp_path / "out"))
    take(tmp_path / "kept", "sha256-a", tmp_path / "first")
    (tmp_path / "first" / "plot.txt").write_text("edited")
    take(tmp_path / "kept", "sha256-a", tmp_path / "second")
    assert (tmp_path / "second" / "plot.txt").read_text() == "beside"
