"""What clients can make the gRPC side of a replica hold, and what they cannot take from others."""

import contextlib
import threading

import grpc
import pytest

from openautoglm.errors import StoreError
from tests.support.rpc import (
    INFER,
    Held,
    begin,
    health,
    infer,
    infer_request,
    refused,
    serving,
)
from tests.support.wait import PATIENCE, until

pytest_plugins = ["tests.support.served"]


@pytest.fixture
def model(text_predictions):
    return text_predictions


@contextlib.contextmanager
def standing(model, **settings):
    """A replica whose model stands in a first call; yields model, predictor, address, channel."""
    held = Held(model)
    with serving(held, **settings) as (predictor, address):
        try:
            with grpc.insecure_channel(address) as channel:
                first = begin(channel, "first")
                assert held.entered.wait(PATIENCE)
                yield held, predictor, address, channel
                held.go.set()
                first.result(PATIENCE)
        finally:
            held.go.set()


def waiting(predictor, rows):
    until(lambda: predictor._batcher.queue_rows == rows)


def queued(predictor, channel, text, timeout):
    """A call whose row waits; None when its deadline passed before it came so far."""
    call = begin(channel, text, timeout=timeout)
    until(lambda: predictor._batcher.queue_rows == 1 or call.done())
    return None if call.done() else call


def test_too_many_rows_or_bytes_are_refused(model):
    with serving(model, limits={"rows": 4, "body_bytes": 1024}) as (_, address):
        found = refused(address, infer_request(*"abcde"))
        assert found.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "found 5 rows" in found.details()
        found = refused(address, infer_request("a" * 100_000))
        assert found.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        infer(address, infer_request(*"abcd"))


def test_a_compressed_message_is_refused_before_it_is_unpacked(model):
    bomb = infer_request("a" * 50_000_000)
    with serving(model) as (_, address):
        found = refused(address, bomb, compression=grpc.Compression.Gzip)
    assert found.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_that_passes_in_the_queue_takes_the_row_out(model):
    with standing(model) as (held, predictor, address, channel):
        late = until(lambda: queued(predictor, channel, "late", timeout=1))
        assert late.exception(PATIENCE).code() == grpc.StatusCode.DEADLINE_EXCEEDED
        # The client knows it a moment before the replica does.
        waiting(predictor, 0)
        held.go.set()
        infer(address, infer_request("after"))
    assert held.seen == ["first", "after"]


def test_the_time_out_of_the_request_itself_is_a_deadline_too(model):
    request = infer_request("impatient")
    request.parameters["timeout"].int64_param = 100_000
    with standing(model) as (held, _, address, _):
        found = refused(address, request)
    assert found.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "deadline of 100 ms" in found.details()
    assert dict(found.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
    assert held.seen == ["first"]


def test_a_cancelled_call_takes_its_row_out(model):
    with standing(model) as (held, predictor, _, channel):
        second = begin(channel, "second")
        waiting(predictor, 1)
        second.cancel()
        waiting(predictor, 0)
    assert held.seen == ["first"]


def test_a_full_queue_refuses_and_health_still_answers(model):
    batching = {"max_queue_rows": 1, "max_batch_size": 1}
    with standing(model, batching=batching) as (held, predictor, address, channel):
        second = begin(channel, "second")
        waiting(predictor, 1)
        found = refused(address, infer_request("third"))
        assert found.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert health(address) == "SERVING"
        held.go.set()
        second.result(PATIENCE)


def test_calls_beyond_the_bound_are_refused_and_health_still_answers(model):
    with standing(model, limits={"connections": 2}) as (held, predictor, address, channel):
        second = begin(channel, "second")
        waiting(predictor, 1)
        found = refused(address, infer_request("third"))
        assert found.code() == grpc.StatusCode.UNAVAILABLE
        assert found.details() == "too many calls at once"
        assert health(address) == "SERVING"
        held.go.set()
        second.result(PATIENCE)
        until(lambda: answers(address, "fourth"))


def answers(address, *texts):
    try:
        infer(address, infer_request(*texts))
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


def test_bytes_beyond_the_bound_are_refused_until_they_are_free_again(model):
    limits = {"buffered_bytes": 1 << 20, "body_bytes": 1 << 20, "text_characters": 700_000}
    with standing(model, limits=limits) as (held, predictor, address, channel):
        second = begin(channel, "a" * 600_000)
        waiting(predictor, 1)
        found = refused(address, infer_request("b" * 600_000))
        assert found.code() == grpc.StatusCode.UNAVAILABLE
        assert found.details() == "too many bytes of calls at once"
        held.go.set()
        second.result(PATIENCE)
        until(lambda: answers(address, "b" * 600_000))


@contextlib.contextmanager
def silent(address, calls, method=INFER):
    """Calls that send no message; yields them."""
    never = threading.Event()

    def nothing():
        never.wait(PATIENCE)
        yield from ()

    with grpc.insecure_channel(address) as channel:
        call = channel.stream_unary(method)
        try:
            yield [call.future(nothing(), timeout=PATIENCE) for _ in range(calls)]
        finally:
            never.set()


def test_a_client_that_sends_no_message_is_cut_off(model):
    limits = {"request_seconds": 0.1}
    with serving(model, limits=limits) as (_, address), silent(address, 1) as (call,):
        found = call.exception(PATIENCE)
    assert found.code() == grpc.StatusCode.CANCELLED
    assert found.details().startswith("the message did not come in time; allowed: 0.1 seconds")


def test_clients_that_send_no_message_do_not_keep_others_from_being_read(model):
    limits = {"buffered_bytes": 1 << 20, "request_seconds": 10 * PATIENCE}
    with serving(model, limits=limits) as (_, address), silent(address, 16) as calls:
        infer(address, infer_request("a"))
        until(lambda: any(call.done() for call in calls), what="one that was cut off")


def test_a_client_that_sends_its_message_late_is_answered_while_no_other_waits(model):
    request = infer_request("a").SerializeToString()
    sent = threading.Event()

    def late():
        assert sent.wait(PATIENCE)
        yield request

    with serving(model) as (_, address), grpc.insecure_channel(address) as channel:
        call = channel.stream_unary(INFER).future(late(), timeout=PATIENCE)
        infer(address, infer_request("b"))
        sent.set()
        assert call.exception(PATIENCE) is None


def test_health_checks_that_send_no_message_do_not_keep_others_from_an_answer(model):
    limits, check = {"request_seconds": 10 * PATIENCE}, "/grpc.health.v1.Health/Check"
    with serving(model, limits=limits) as (_, address), silent(address, 64, check) as calls:
        infer(address, infer_request("a"))
        assert {call.exception(PATIENCE).code() for call in calls} == {grpc.StatusCode.CANCELLED}
        assert health(address) == "SERVING"


def test_a_fault_of_ours_costs_one_call_and_tells_nothing_of_its_inside(model, monkeypatch):
    with serving(model) as (predictor, address):
        with monkeypatch.context() as broken:
            broken.setattr(predictor, "predict", None)
            found = refused(address, infer_request("a"))
        assert found.code() == grpc.StatusCode.INTERNAL
        assert found.details() == "this replica failed on the request"
        infer(address, infer_request("a"))


def test_a_port_that_is_taken_is_told_unless_it_is_shared(model):
    with serving(model, reuse_port=True) as (_, address):
        port = int(address.split(":")[1])
        with pytest.raises(StoreError) as caught, serving(model, port=port):
            pass
        assert caught.value.where == f"127.0.0.1:{port}"
        with serving(model, port=port, reuse_port=True) as (_, same):
            assert same == address
