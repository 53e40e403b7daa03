"""What keeps a service from being deployed, and that nothing of it is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import closing, contextmanager

import pytest

from openautoglm.deploy.ledger import last, read
from tests.support.site import Site, listening, processes, site
from tests.support.traffic import Traffic
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-refusals")]


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A project with one registered version, in which nothing was deployed."""
    with site(tmp_path_factory.mktemp("refusals") / "project", 0) as found:
        yield found


@pytest.fixture
def small(registered, tmp_path):
    """A copy of it, for one test."""
    root = tmp_path / "project"
    shutil.copytree(registered.root, root)
    found = Site(root)
    yield found
    if found.folder.desired.is_file():
        found.run("delete", "small")
    assert processes(root) == []


def nothing_was_done(small):
    assert not small.folder.desired.exists()
    assert read(small.folder.ledger) == []
    assert list((small.root / ".openautoglm").glob("models/sha256-*")) == []
    assert processes(small.root) == []
    return True


@contextmanager
def tiny_disk(place, size):
    """A disk of so many bytes; only root may mount one."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield place / "filler"
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(file):
    """Write a file until the disk is full."""
    with pytest.raises(OSError, match="No space"), file.open("wb", buffering=0) as stream:  # noqa: PT012
        while True:
            stream.write(bytes(1 << 12))


def test_a_port_that_somebody_has(small):
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", small.port))
        other.listen()
        small.write()
        shown = small.run("deploy", code=2)
    assert f"taken by process {os.getpid()}" in shown
    assert "gateway.port" in shown
    assert nothing_was_done(small)


def test_a_model_that_is_not_registered(small):
    small.write(model="models:/other@champion")
    shown = small.run("deploy", code=2)
    assert "config.yaml:1" in shown
    assert "small" in shown
    small.write(model="models:/small@challenger")
    assert "champion" in small.run("deploy", code=2)
    small.write(model="bert-base-nothing")
    assert "models:/small@champion" in small.run("deploy", code=2)
    assert nothing_was_done(small)


def test_a_model_that_was_damaged_in_the_registry(small):
    graph = next((small.root / "mlartifacts").rglob("fp32.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1])
    small.write()
    shown = small.run("deploy", code=2)
    assert "digest" in shown
    assert nothing_was_done(small)


def test_a_model_that_cannot_be_read(small):
    graph = next((small.root / "mlartifacts").rglob("fp32.onnx"))
    graph.unlink()
    graph.symlink_to(graph)
    small.write()
    assert str(graph) in small.run("deploy", code=2)
    assert nothing_was_done(small)


def test_a_precision_that_was_not_built(small):
    small.write(quantization="int8")
    shown = small.run("deploy", code=2)
    assert "int8" in shown
    assert "fp32" in shown
    assert nothing_was_done(small)


def test_two_services_do_not_get_one_port(small):
    small.deploy()
    small.write(name="other")
    try:
        shown = small.run("deploy", code=2)
        assert "taken by the gateway of the service small" in shown
        assert "key gateway.port" in shown
        assert not (small.root / ".openautoglm" / "services" / "other.lock").exists()
    finally:
        del small.config["name"]


def test_a_neighbour_with_a_damaged_ledger_is_left_alone(small):
    small.deploy()
    other = small.root / ".openautoglm" / "services" / "other"
    other.mkdir()
    (other / "ledger.jsonl").write_text("garbage\n", encoding="utf-8")
    (other / "service.json").write_text("{}", encoding="utf-8")
    assert "answers at" in small.deploy(replicas=1)
    shown = small.run("status", code=1)
    assert "damaged" in shown
    assert "healthy" in shown
    assert "not tidied" in small.run("delete", "small")


def test_a_lost_model_store_is_filled_again(small):
    small.deploy()
    models = small.root / ".openautoglm" / "models"
    for path in (models, *models.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(models)
    for pid in small.pids("replica").values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not small.status().healthy, what="trouble")
    assert "answers at" in small.run("deploy")


@pytest.mark.sweep
def test_a_controller_that_hangs_is_no_sign_of_health(small):
    small.deploy()
    (hung,) = small.pids("controller").values()
    os.kill(hung, signal.SIGSTOP)
    for pid in small.pids("replica").values():
        os.kill(pid, signal.SIGKILL)
    shown = small.run("deploy", "--wait", "1", code=1)
    assert "tells nothing" in shown
    os.kill(hung, signal.SIGCONT)
    assert "answers at" in small.run("deploy")


def test_a_delete_that_was_killed_is_finished_by_the_next(small):
    small.deploy()
    first = small.start("delete", "small")
    until(lambda: last(small.folder.ledger) is None, what="the decision")
    first.kill()
    first.communicate()
    if small.folder.root.exists() and len(list(small.folder.root.iterdir())) > 1:
        assert "cut off" in small.run("status", code=1)
        assert "deleted" in small.run("delete", "small")
    assert processes(small.root) == []
    assert "answers at" in small.run("deploy")


def test_a_full_disk(small):
    with tiny_disk(small.root / ".openautoglm" / "models", 16 << 10) as filler:
        fill(filler)
        small.write()
        assert "no space left" in small.run("deploy", code=2)
        assert nothing_was_done(small)


def test_a_disk_that_fills_up_under_a_service(small):
    with tiny_disk(small.root / ".openautoglm" / "services", 4 << 20) as filler:
        small.deploy()
        [controller] = small.pids("controller").values()
        with Traffic(small.port) as traffic:
            os.kill(controller, signal.SIGSTOP)  # what it exchanges for newer would make room
            fill(filler)
            assert "no space left" in small.run("weights", "small", "champion=100", code=2)
            os.kill(controller, signal.SIGCONT)
            until(lambda: traffic.good > 50, what="traffic on a full disk")
            filler.unlink()
            until(lambda: small.status().healthy, what="health")
            assert "in force" in small.run("weights", "small", "champion=100")
        assert traffic.failures == []
        small.run("delete")


def test_of_two_deploys_at_once_one_is_told_about_the_other(small):
    small.write()
    both = [small.start("deploy"), small.start("deploy")]
    said = [one.communicate(timeout=5 * PATIENCE)[0] for one in both]
    codes = sorted(one.returncode for one in both)
    assert codes in ([0, 2], [0, 0]), said
    if codes == [0, 2]:
        assert any("is at work here" in text for text in said), said
    assert len(small.pids("replica")) == len(small.pids("gateway")) == 2
    assert "nothing to change" in small.run("deploy")


def test_what_was_left_by_a_machine_that_crashed(small):
    small.deploy()
    before = small.pids()
    # Those who would start others again may not do so in between.
    for one in (signal.SIGSTOP, signal.SIGKILL):
        for unit in ("supervisor", "controller"):
            os.kill(before[unit], one)
    for unit in before.keys() - {"supervisor", "controller"}:
        os.kill(before[unit], signal.SIGKILL)
    until(lambda: not small.pids(), what="the end of all")
    small.folder.status.write_text("{half", encoding="utf-8")
    shutil.rmtree(small.folder.sockets)
    assert "answers at" in small.run("deploy")
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []


def removed(folder):
    """Whether a folder is gone, into which somebody may still have written."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def test_a_service_ends_when_its_folder_is_removed(small):
    small.deploy()
    sockets = small.folder.sockets
    for path in (small.root / ".openautoglm" / "models").rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    until(lambda: removed(small.root / ".openautoglm"), what="the end of its folder")
    until(lambda: not processes(small.root), what="the end of its processes")
    assert small.port not in listening()
    until(lambda: not sockets.exists(), what="the end of its sockets")
    assert "answers at" in small.run("deploy")


def test_a_deploy_that_was_interrupted_says_that_it_goes_on(small):
    small.write()

    def interrupted():
        first = small.start("deploy")
        until(lambda: small.pids("supervisor"), what="the supervisor")
        first.send_signal(signal.SIGINT)
        said, _ = first.communicate()
        if first.returncode == 0:  # it was faster
            small.run("delete")
            return None
        assert first.returncode == 130, said
        return said

    assert "it goes on: openautoglm status" in until(interrupted)
    until(lambda: small.folder.status.is_file() and small.status().healthy)


def test_a_deploy_that_was_killed_is_finished_by_the_next(small):
    small.write()
    first = small.start("deploy")
    until(small.folder.desired.is_file, what="the decision")
    first.kill()
    first.communicate()
    assert "answers at" in small.run("deploy")
    assert len(small.pids("replica")) == 2


def test_a_project_that_moves_while_it_serves(small, tmp_path):
    small.deploy()
    old = small.root
    moved = Site(old.rename(tmp_path / "elsewhere 别处"), small.port, small.config)
    small.root = moved.root
    shown = moved.run("deploy")
    assert "answers at" in shown
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []
    until(lambda: not processes(old), what="the end of what was started at the old place")
    assert len(small.pids("replica")) == len(small.pids("gateway")) == 2
