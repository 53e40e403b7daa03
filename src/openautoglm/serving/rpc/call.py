"""One call from its first byte to its status: admission, message, method, refusal, metadata."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from openautoglm.serving.batching.job import Job
from openautoglm.serving.observe.context import Context, make_context
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import DRAINING, FAILED, INVALID, Refusal
from openautoglm.serving.rpc import messages
from openautoglm.serving.rpc.ending import Ending
from openautoglm.serving.rpc.gate import Gate, Place

_METADATA = ("x-request-id", "traceparent")
_LONGEST_DETAILS = 1000  # of a status message, which travels as a header
_CONTROL_SECONDS = 1.0  # in which the message of a call about the server arrives

CONTROL_CALLS = 64
"""Calls about the server at once: beside those for predictions, so that neither starves."""


@dataclass(slots=True)
class Call:
    """What a method is told of its call.

    Attributes:
        context: Ids and times.
        timeout: Seconds from `context.started` that the client gives it; None when it says nothing.
        job: What the model did for it.
    """

    context: Context
    timeout: float | None
    job: Job | None = None


Method = Callable[[Any, Call], Awaitable[Any]]
Enter = Callable[[grpc.aio.ServicerContext], Awaitable[Place]]


class Calls:
    """Makes gRPC handlers of methods.

    A handler is registered as one that takes a stream, which is the same on the wire: only then is
    it called before the message is read, and can bound how many are read, and for how long.

    Args:
        predictor: Whose name is on every answer, and whose load on every prediction.
        ending: Of the server.
        trace_ratio: Share of calls that are traced where the caller did not decide.
    """

    def __init__(self, predictor: Predictor, ending: Ending, *, trace_ratio: float) -> None:
        limits = predictor.limits
        self._predictor = predictor
        self._ending = ending
        self._predictions = Gate(limits.connections, limits, seconds=limits.request_seconds)
        self._controls = Gate(CONTROL_CALLS, limits, seconds=_CONTROL_SECONDS)
        self._trace_ratio = trace_ratio
        self._named = (
            ("x-model-version", predictor.identity.version),
            ("x-model-digest", predictor.identity.digest),
        )

    def prediction(self, method: Method, request: Any) -> grpc.RpcMethodHandler:
        """A handler of a method that needs the model: refused once the server is to end.

        Args:
            method: Answers a request; a `Refusal` it raises becomes the status.
            request: Class of its messages.
        """
        return self._handler(self._enter_prediction, method, request)

    def control(self, method: Method, request: Any) -> grpc.RpcMethodHandler:
        """The same of one that tells about the server, to its end."""
        return self._handler(self._enter_control, method, request)

    async def _enter_prediction(self, rpc: grpc.aio.ServicerContext) -> Place:
        self._predictor.make_way()
        place = self._predictions.enter()
        rpc.add_done_callback(place.leave)
        if await self._ending.late():
            raise Refusal(DRAINING, "this replica is stopping")
        return place

    async def _enter_control(self, rpc: grpc.aio.ServicerContext) -> Place:
        place = self._controls.enter()
        rpc.add_done_callback(place.leave)
        await self._ending.late()
        return place

    def _handler(self, enter: Enter, method: Method, request: Any) -> grpc.RpcMethodHandler:
        async def handle(_: object, rpc: grpc.aio.ServicerContext) -> bytes:
            call = Call(self._context(rpc), rpc.time_remaining())
            try:
                place = await enter(rpc)
                # No name for the message: it is gone as soon as its rows are taken out.
                answer = await method(_parse(request, await _read(rpc, place)), call)
                encoded: bytes = answer.SerializeToString()
                place.hold(len(encoded))
            except asyncio.CancelledError:
                self._answered(call, "CANCELLED")
                raise
            except Refusal as found:
                refusal = found.with_traceback(None)  # its frames would keep the message
            except Exception as error:  # a fault of ours must cost this call only
                refusal = Refusal(FAILED, "this replica failed on the request")
                refusal.__cause__ = error
            else:
                rpc.set_trailing_metadata(self._trailing(call))
                self._answered(call, "OK")
                return encoded
            await self._refuse(rpc, call, refusal)
            raise AssertionError("a refused call has ended")

        return grpc.stream_unary_rpc_method_handler(handle)

    def _context(self, rpc: grpc.aio.ServicerContext) -> Context:
        found = {key: value for key, value in rpc.invocation_metadata() if key in _METADATA}
        return make_context(
            protocol="grpc",
            request_id=found.get("x-request-id"),
            traceparent=found.get("traceparent"),
            ratio=self._trace_ratio,
        )

    async def _refuse(self, rpc: grpc.aio.ServicerContext, call: Call, refusal: Refusal) -> None:
        if refusal.__cause__ is not None:
            self._predictor.observer.failed(call.context, refusal)
        self._answered(call, refusal.kind.grpc, refusal.kind.name)
        hint = f"; {refusal.hint}" if refusal.hint else ""
        trailing = self._trailing(call)
        if refusal.kind.again:
            milliseconds = str(refusal.retry_after * 1000)
            trailing = (*trailing, ("grpc-retry-pushback-ms", milliseconds))
        await rpc.abort(
            grpc.StatusCode[refusal.kind.grpc],
            f"{refusal.message}{hint}"[:_LONGEST_DETAILS],
            trailing,
        )

    def _answered(self, call: Call, code: str, kind: str | None = None) -> None:
        self._predictor.observer.answered(call.context, code, perf_counter(), call.job, kind)

    def _trailing(self, call: Call) -> tuple[tuple[str, str | bytes], ...]:
        """All of it comes last: metadata in front would be one more trip to gRPC's core."""
        named = (*self._named, ("x-request-id", call.context.request_id))
        if call.job is None:
            return named
        report = self._predictor.observer.load.report(perf_counter())
        orca = messages.OrcaLoadReport(
            application_utilization=report.utilisation, rps_fractional=report.rps, eps=report.eps
        )
        return (*named, ("endpoint-load-metrics-bin", orca.SerializeToString()))


async def _read(rpc: grpc.aio.ServicerContext, place: Place) -> bytes:
    body = await place.read(rpc.read)
    if body is grpc.aio.EOF:
        raise Refusal(INVALID, "a call without a message")
    place.hold(len(body))
    found: bytes = body
    return found


def _parse(request: Any, body: bytes) -> Any:
    try:
        return request.FromString(body)
    except DecodeError:
        raise Refusal(
            INVALID, "the message cannot be decoded", allowed=request.DESCRIPTOR.full_name
        ) from None
