"""A project that was copied while it serves: the copy is a service of its own, or none."""

from __future__ import annotations

import shutil

import pytest

from openautoglm.deploy.local.supervisor import Supervisor
from tests.support.ports import free_port
from tests.support.site import Site, parsed, processes, site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-copies")]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project that serves; nothing that is done to its copies may be seen there."""
    with site(tmp_path_factory.mktemp("copies") / "project", 0) as found:
        found.deploy(replicas=1, gateway={"processes": 1})
        pids = found.pids()
        with Traffic(found.port, clients=1, pause=0.05) as traffic:
            yield found
            good = traffic.good
            until(lambda: traffic.good > good + 5, what="traffic")
        assert traffic.failures == []
        assert found.pids() == pids
        assert "healthy" in found.run("status")


def copied(root, to):
    """Whether nothing was exchanged for a newer one while it was being copied."""
    shutil.rmtree(to, ignore_errors=True)
    try:
        return shutil.copytree(root, to, symlinks=True)
    except shutil.Error:
        return None


@pytest.fixture
def copy(original, tmp_path):
    """A copy of it, which has the same port."""
    until(lambda: copied(original.root, tmp_path / "copy"), what="a copy")
    found = Site(tmp_path / "copy", original.port, original.config)
    yield found
    if found.folder.desired.is_file():
        found.run("delete", "small")
    assert processes(found.root) == []
    assert not found.folder.sockets.exists()


def test_a_look_at_a_copy_starts_nothing(original, copy):
    shown = copy.run("status", "--json", code=1)
    assert f"copy of {original.folder.root}" in parsed(shown)["small"]["problems"][0]
    assert processes(copy.root) == []


def test_a_copy_does_not_share_the_port_of_the_service_it_is_a_copy_of(original, copy):
    [gateway] = original.pids("gateway").values()
    shown = copy.run("deploy", code=2)
    assert f"process {gateway}" in shown
    assert "gateway.port" in shown
    assert processes(copy.root) == []
    assert Supervisor(copy.folder).foreign()


def test_a_copy_serves_at_a_port_of_its_own(original, copy):
    copy.port = free_port()
    assert "answers at" in copy.deploy()
    with Traffic(copy.port) as traffic:
        until(lambda: traffic.good > 20, what="traffic")
    assert traffic.failures == []
    assert not set(copy.pids().values()) & set(original.pids().values())
    assert "nothing to change" in copy.run("deploy")
