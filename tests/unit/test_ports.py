"""Ports for replicas, and the gateway's own."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from openautoglm.deploy.local.ports import check_free, free_pair, is_free
from openautoglm.errors import StoreError
from tests.support.wait import until

HERE = "127.0.0.1"
SEED = f"tests {os.getpid()}"
"""Of this process alone: another one that tests wants other ports."""


@pytest.fixture
def listening():
    """Listen on a port until the test has ended."""
    sockets = []

    def start(port=0, host=HERE):
        found = socket.socket()
        sockets.append(found)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen()
        return found.getsockname()[1]

    yield start
    for found in sockets:
        found.close()


def test_the_two_differ_and_can_be_listened_on(listening):
    one, two = free_pair((), seed=SEED)
    assert one != two
    assert [listening(one), listening(two)] == [one, two]


def test_the_same_seed_gets_the_same_ports():
    # Unless somebody takes one in between.
    until(lambda: free_pair((), seed=SEED) == free_pair((), seed=SEED), what="the same ports")


def test_another_seed_gets_others():
    assert not set(free_pair((), seed=SEED)) & set(free_pair((), seed="another"))


def test_ports_that_are_taken_are_passed_over(listening):
    first = free_pair((), seed=SEED)
    assert not set(first) & set(free_pair(first, seed=SEED))
    for port in first:
        listening(port)
    assert not set(first) & set(free_pair((), seed=SEED))


def test_no_port_is_one_of_those_for_outgoing_connections():
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    low, high = map(int, text.split())
    taken = set()
    for _ in range(50):
        taken |= set(free_pair(taken, seed=SEED))
    assert not [port for port in taken if low <= port <= high]


def test_when_none_is_left_that_is_told():
    with pytest.raises(StoreError, match="no two ports are free"):
        free_pair(range(1 << 16), seed=SEED)


def test_who_listens_has_the_port(listening):
    port = listening()
    assert not is_free(HERE, port)


def test_a_connection_that_has_ended_does_not_have_the_port(listening):
    with closing(socket.create_server((HERE, 0))) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((HERE, port))
        server.accept()[0].close()  # whoever closes first keeps the port for a minute
        client.close()
    assert is_free(HERE, port)


def test_the_gateways_port_may_be_free():
    check_free(HERE, free_pair((), seed=SEED)[0])


def test_who_has_the_gateways_port_is_named(listening):
    port = listening()
    with pytest.raises(StoreError) as caught:
        check_free(HERE, port)
    told = str(caught.value)
    assert f"the port is taken by process {os.getpid()}" in told
    assert f"gateway.port: {HERE}:{port}" in told
    assert "set `gateway.port` to another one" in told


def test_an_address_of_another_machine_is_told():
    with pytest.raises(StoreError) as caught:
        check_free("192.0.2.1", 8080)
    assert "`192.0.2.1` is no address of this machine" in str(caught.value)
    assert caught.value.where == "gateway.host"
