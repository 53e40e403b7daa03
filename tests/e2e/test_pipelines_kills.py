"""SIGKILL in the middle of a pipeline on this machine, then again: as if nothing had happened."""

import pytest

from tests.support.command import command
from tests.support.pipelines import kill_in_train, registered, run_pipeline
from tests.support.project import FP32, PURE, Small

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipelines-kills")]


def project(root):
    made = Small(root, count=300)
    made.change(**FP32)
    made.change(train={"epochs": 20})
    return made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Digests of the same steps, called by themselves."""
    made = project(tmp_path_factory.mktemp("kills") / "undisturbed")
    for name in PURE:
        command(made.root, "step", name)
    return made.digests()


def test_killed_twice_in_train_it_ends_as_if_nothing_had_happened(tmp_path, undisturbed):
    small = project(tmp_path / "killed")
    small.add_pipelines()
    assert "[tune] done" in kill_in_train(small, whole=True)
    kept = {path.parent.name for path in small.root.glob(".openautoglm/finished/*/sha256-*")}
    assert kept == {"prepare", "tune"}, "what was half made is kept as if it were whole"
    assert "[tune] made before from the same" in kill_in_train(small, whole=False)
    # Whoever was at work for the one that is gone may still be: that must not matter.
    last = run_pipeline(small, "training")
    assert last.digests() == undisturbed
    assert {"prepare", "tune"} <= set(last.again())
    assert registered(small) == ([1], {"champion": 1})
    left = [*small.root.glob(".openautoglm/finished/**/.*.part-*"), *last.folder.rglob(".*.part-*")]
    assert left == []
