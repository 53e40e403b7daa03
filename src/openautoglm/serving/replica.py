"""One replica: warm up, serve, drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

import uvloop

from openautoglm.config.feedback import Feedback
from openautoglm.config.serving import Serving
from openautoglm.serving.batching.batcher import Batcher
from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.http.replies import Replies
from openautoglm.serving.http.routes import Routes
from openautoglm.serving.http.server import HttpServer
from openautoglm.serving.listen import Places, listen
from openautoglm.serving.loaded import Loaded
from openautoglm.serving.observe.load import Load
from openautoglm.serving.observe.metrics import Gauges, Metrics
from openautoglm.serving.observe.observer import Observer
from openautoglm.serving.observe.tracing import Tracing
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.rpc.server import start as start_grpc
from openautoglm.serving.warm import warm

if TYPE_CHECKING:
    from openautoglm.serving.kept import Kept

_log = logging.getLogger(__name__)
_OTHER_FILES = 256


def run(
    loaded: Loaded,
    settings: Serving,
    places: Places,
    *,
    feedback: Feedback | None = None,
    ready: Callable[[Places], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        loaded: The model.
        settings: How.
        places: Where; port 0 takes a free one.
        feedback: What is kept of answers, with the store's URL; None keeps nothing.
        ready: Told the real places when requests are taken.

    Raises:
        StoreError: A port is taken, the host is not of this machine, or the driver of the
            feedback store's database is not installed.
    """
    most = settings.batching.max_batch_size
    costs = warm(loaded.scorer, loaded.input, len(loaded.labels), most=most)
    _allow_files(2 * settings.limits.connections)
    kept = _keep(loaded, feedback, settings.limits.rows)
    # What was loaded stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    try:
        uvloop.run(_serve(loaded, settings, places, costs, kept, ready))
    finally:
        if kept:
            kept.close()


def _keep(loaded: Loaded, feedback: Feedback | None, rows: int) -> Kept | None:
    if feedback is None or not feedback.enabled or feedback.url is None:
        return None
    # SQLAlchemy is not loaded for replicas that keep nothing.
    from openautoglm.serving.kept import keep

    return keep(loaded, feedback.url, feedback, rows=rows)


def _allow_files(sockets: int) -> None:
    """Raise the soft limit of open files, so that connections meet our bound and not that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(
    loaded: Loaded,
    settings: Serving,
    places: Places,
    costs: Costs,
    kept: Kept | None,
    ready: Callable[[Places], None],
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    most = settings.batching.max_queue_rows
    load = Load(lambda: batcher.queue_rows / most, perf_counter())
    gauges = Gauges(
        queue_rows=lambda: batcher.queue_rows,
        connections=lambda: http.connections,
        buffered_bytes=lambda: http.buffered,
        ready=lambda: predictor.ready,
        utilisation=lambda: load.report(perf_counter()).utilisation,
    )
    tracing = Tracing.start(loaded.identity)
    metrics = Metrics(loaded.identity, gauges, lambda: kept.recorder.dropped if kept else 0)
    observer = Observer(metrics, load, tracing, settings.access_log)
    batcher = Batcher(
        loaded.scorer,
        settings.batching,
        costs=costs,
        loop=loop,
        watcher=observer,
    )
    predictor = Predictor(
        loaded.identity,
        loaded.labels,
        loaded.input,
        settings,
        batcher=batcher,
        observer=observer,
        recorder=kept.recorder if kept else None,
    )
    routes = Routes(predictor, kept.take if kept else None)
    replies = Replies(loaded.identity, load)
    http = HttpServer(predictor, replies, routes, trace_ratio=settings.traces.ratio)
    listener, grpc = listen(places), None
    try:
        if places.grpc_port is not None:
            grpc = await start_grpc(predictor, places, trace_ratio=settings.traces.ratio)
        await http.start(listener)
        predictor.ready = True
        port = listener.getsockname()[1]
        ready(places._replace(port=port, grpc_port=grpc.port if grpc else None))
        await stop.wait()
        # Whoever presses Ctrl-C again does not want to wait.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _log.info("draining", extra={"connections": http.connections})
        predictor.ready = False
        ends = [http.drain(settings.drain_seconds)]
        if grpc:
            ends.append(grpc.stop(settings.drain_seconds))
        await asyncio.gather(*ends)
        grpc = None
    finally:
        if grpc:
            await grpc.stop(0)
        listener.close()
        batcher.close()
        tracing.stop()
    _log.info("stopped")
