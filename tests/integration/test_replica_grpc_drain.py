"""What gRPC clients see while a replica ends."""

import contextlib
import threading

import grpc
import pytest

from tests.support.rpc import Held, begin, health, serving
from tests.support.wait import PATIENCE, until

pytest_plugins = ["tests.support.served"]


@pytest.fixture
def model(text_predictions):
    return text_predictions


@contextlib.contextmanager
def calling(address, clients):
    """Clients that call again and again; yields what each has seen, a code and its details."""
    seen = [set() for _ in range(clients)]
    ended = threading.Event()

    def call(found):
        with grpc.insecure_channel(address) as channel:
            while not ended.is_set():
                answer = begin(channel, "a")
                found.add((answer.code(), answer.details()))

    threads = [threading.Thread(target=call, args=(found,)) for found in seen]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_clients_that_keep_calling_see_answers_then_unavailable_and_nothing_else(model):
    ok, unavailable = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
    with contextlib.ExitStack() as stack, serving(model, grace=PATIENCE) as (_, address):
        seen = stack.enter_context(calling(address, clients=8))  # beyond the end of the server
        until(lambda: all(seen))
    assert {code for found in seen for code, _ in found} == {ok, unavailable}
    # Who happens to call while it ends, and it is a short time, is told so.
    assert any((unavailable, "this replica is stopping") in found for found in seen)


def test_what_is_under_way_ends_before_the_server_does(model):
    held = Held(model)
    with contextlib.ExitStack() as stack:
        with serving(held, grace=PATIENCE) as (_, address):
            channel = stack.enter_context(grpc.insecure_channel(address))
            first = begin(channel, "first")
            assert held.entered.wait(PATIENCE)

            def release():
                with contextlib.suppress(grpc.RpcError):
                    while True:
                        health(address)
                held.go.set()

            threading.Thread(target=release).start()
        assert first.result(PATIENCE).model_version == "3"
