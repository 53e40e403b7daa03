"""The gRPC listener of a replica: which calls there are, and what they may take."""

from __future__ import annotations

import asyncio
import errno

import grpc
import grpc.aio

from openautoglm.config.serving import Limits
from openautoglm.serving.listen import Places, refused
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.rpc import health, messages, numeric, service
from openautoglm.serving.rpc.call import CONTROL_CALLS, Calls
from openautoglm.serving.rpc.ending import Ending

_ENVELOPE = 64 << 10  # names and shapes around the data of a message
_PING_SECONDS = 30  # a client that is gone without a word is noticed after this
_CONNECTION_SECONDS = 600  # then clients are asked to connect anew: other replicas get their share,
# and one that never reads its answers is cut off


class RpcServer:
    """A started server.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server: grpc.aio.Server, port: int, ending: Ending) -> None:
        self._server = server
        self._ending = ending
        self.port = port

    async def stop(self, grace_seconds: float) -> None:
        """Answer the calls under way, refuse new ones so that clients try elsewhere, and close.

        Args:
            grace_seconds: After these what is left is cancelled.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + grace_seconds
        await self._ending.begin(grace_seconds / 2)
        stopped = asyncio.ensure_future(self._server.stop(max(0.0, end - clock())))
        await asyncio.sleep(0)  # it starts, and clients are told
        self._ending.let_go()
        await stopped


async def start(predictor: Predictor, places: Places, *, trace_ratio: float) -> RpcServer:
    """Serve a predictor over gRPC in the running event loop.

    Args:
        predictor: The model.
        places: Where; `grpc_port` 0 takes a free one.
        trace_ratio: Share of calls that are traced where the caller did not decide.

    Raises:
        StoreError: The port is taken, or the host is not of this machine.
    """
    host, port = places.host, places.grpc_port or 0
    server = grpc.aio.server(options=_options(predictor.limits, places.reuse_port))
    ending = Ending()
    server.add_generic_rpc_handlers(
        _handlers(predictor, Calls(predictor, ending, trace_ratio=trace_ratio))
    )
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:  # gRPC says no more than that
        raise refused(host, port, OSError(errno.EADDRINUSE, str(error))) from None
    await server.start()
    return RpcServer(server, bound, ending)


def _handlers(predictor: Predictor, calls: Calls) -> tuple[grpc.GenericRpcHandler, ...]:
    oip = service.OpenInference(predictor)
    m = messages
    return (
        grpc.method_handlers_generic_handler(
            service.NAME,
            {
                "ServerLive": calls.control(oip.server_live, m.ServerLiveRequest),
                "ServerReady": calls.control(oip.server_ready, m.ServerReadyRequest),
                "ModelReady": calls.control(oip.model_ready, m.ModelReadyRequest),
                "ServerMetadata": calls.control(oip.server_metadata, m.ServerMetadataRequest),
                "ModelMetadata": calls.control(oip.model_metadata, m.ModelMetadataRequest),
                "ModelInfer": calls.prediction(oip.model_infer, m.ModelInferRequest),
            },
        ),
        grpc.method_handlers_generic_handler(
            numeric.NAME,
            {"Predict": calls.prediction(numeric.Numeric(predictor).predict, m.PredictRequest)},
        ),
        grpc.method_handlers_generic_handler(
            health.NAME,
            {"Check": calls.control(health.Health(predictor).check, m.HealthCheckRequest)},
        ),
    )


def _options(limits: Limits, reuse_port: bool) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", limits.body_bytes + _ENVELOPE),
        ("grpc.max_metadata_size", limits.header_bytes),
        ("grpc.absolute_max_metadata_size", limits.header_bytes),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_concurrent_streams", limits.connections + CONTROL_CALLS),
        ("grpc.max_connection_idle_ms", int(limits.idle_seconds * 1000)),
        # Else windows grow with the traffic, and calls hold messages before they are read.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_connection_age_ms", _CONNECTION_SECONDS * 1000),
        ("grpc.max_connection_age_grace_ms", int(limits.request_seconds * 1000)),
        ("grpc.keepalive_time_ms", _PING_SECONDS * 1000),
        # A small compressed message could unpack to any size before its length is looked at.
        ("grpc.compression_enabled_algorithms_bitset", 1),
    )
