"""Where a replica may listen, and what it says when it may not."""

import errno
import os
import socket
from contextlib import closing

import pytest

from openautoglm.errors import ConfigError, StoreError
from openautoglm.serving import listen as module
from openautoglm.serving.listen import Places, check_ports, listen, refused

TAKEN = OSError(errno.EADDRINUSE, "Address already in use")


def places(host="127.0.0.1", port=0, *, reuse_port=False):
    return Places(host, port, None, reuse_port)


def port_of(listener):
    return listener.getsockname()[1]


@pytest.fixture
def others():
    """A process that listens on an IPv4 address."""
    with closing(socket.socket()) as other:

        def start(address):
            other.bind((address, 0))
            other.listen()
            return port_of(other)

        yield start


def test_a_second_replica_is_told_who_has_the_port():
    with closing(listen(places())) as first, pytest.raises(StoreError) as caught:
        listen(places(port=port_of(first)))
    assert f"the port is taken by process {os.getpid()}" in str(caught.value)
    assert caught.value.where.startswith("127.0.0.1:")
    assert "end that process" in str(caught.value)


def test_nobody_else_can_listen_from_then_on():
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        mine = listen(places(port=port_of(other)))
        with closing(mine), pytest.raises(OSError, match="in use"):
            other.listen()


def test_replicas_that_share_a_port_do_not_refuse_each_other():
    with (
        closing(listen(places(reuse_port=True))) as first,
        closing(listen(places(port=port_of(first), reuse_port=True))) as second,
    ):
        assert port_of(first) == port_of(second)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_client_gets_through(host):
    with closing(listen(places(host))) as listener:
        socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5).close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::", "::ffff:127.0.0.1"])  # noqa: S104
def test_who_listens_at_the_address_or_at_every_one_is_named(others, address, host):
    port = others(address)
    assert f"process {os.getpid()}" in str(refused(host, port, TAKEN))


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_who_listens_at_another_address_is_not_blamed(others, host):
    found = str(refused(host, others("127.0.0.1"), TAKEN))
    assert "the port is taken\n" in found
    assert "process" not in found


def test_an_error_that_is_not_about_the_port_blames_nobody(others):
    error = OSError(errno.EACCES, "Permission denied")
    found = str(refused("127.0.0.1", others("127.0.0.1"), error))
    assert "cannot listen: Permission denied" in found
    assert "process" not in found
    assert "1024" in found


@pytest.mark.parametrize("host", ["", "192.0.2.1", "a..b", "x" * 70, "999.1.1.1", "::1::"])
def test_a_host_that_is_not_of_this_machine_is_named(host):
    with pytest.raises(StoreError) as caught:
        listen(places(host))
    found = str(caught.value)
    assert f"`{host}` is no address of this machine" in found
    assert "where:   --host" in found
    assert "127.0.0.1, 0.0.0.0" in found
    assert "port" not in found


def test_one_port_for_both_is_refused_before_anything_is_bound(monkeypatch):
    monkeypatch.setattr(module, "socket", None)
    for step in (check_ports, listen):
        with pytest.raises(ConfigError, match="9001 is the port for HTTP") as caught:
            step(Places("127.0.0.1", 9001, 9001, reuse_port=False))
        assert caught.value.where == "--grpc-port"


@pytest.mark.parametrize("grpc_port", [0, None, 9002])
def test_ports_that_differ_or_are_free_ones_are_good(grpc_port):
    check_ports(Places("127.0.0.1", 0, grpc_port, reuse_port=False))
