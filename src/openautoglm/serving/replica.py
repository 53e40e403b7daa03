"""One replica: verify, load, warm up, serve, drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import uvloop

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.serving import Serving
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.inference.model import load
from openautoglm.inference.package import NumericInput, TextInput, read_choice
from openautoglm.serving.batching.batcher import Batcher
from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.batching.run import Scorer
from openautoglm.serving.http.replies import Replies
from openautoglm.serving.http.routes import Routes
from openautoglm.serving.http.server import HttpServer
from openautoglm.serving.listen import Places, listen
from openautoglm.serving.observe.load import Load
from openautoglm.serving.observe.metrics import Gauges, Metrics
from openautoglm.serving.observe.observer import Observer
from openautoglm.serving.observe.tracing import Tracing
from openautoglm.serving.predictor import Identity, Predictor
from openautoglm.serving.rpc.server import start as start_grpc
from openautoglm.serving.warm import warm

_log = logging.getLogger(__name__)
_OTHER_FILES = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Served(NamedTuple):
    """A model that is ready to be called, with what its answers are attributed to."""

    scorer: Scorer
    labels: tuple[str, ...]
    input: TextInput | NumericInput
    identity: Identity


def open_served(
    folder: Path,
    digest: str,
    *,
    name: str,
    version: str | None,
    family: str | None,
    variant: str | None,
    threads: int,
) -> Served:
    """Verify a model and load one variant of it.

    Args:
        folder: A compressed model: `payload/`, and `choice.json` unless a variant is named.
        digest: What its payload must have.
        name: What clients call it.
        version: What answers carry; the first 12 digits of the digest when None.
        family: As in `openautoglm.inference.model.load`.
        variant: The same.
        threads: CPU threads inside one call.

    Raises:
        ArtifactError: It is not readable, or not what the digest says.
        ConfigError: Name or version cannot stand in a path and a header.
    """
    if version is None:
        version = digest.removeprefix("sha256-")[:12]
    for option, value in (("--name", name), ("--version", version)):
        if not _NAME.fullmatch(value):
            raise ConfigError(
                f"found `{value}`",
                where=option,
                allowed="up to 64 letters, digits, dots, dashes and underscores",
            )
    found = folder_digest(folder / PAYLOAD)
    if found != digest:
        raise ArtifactError(
            f"the model's digest is {found}",
            where=str(folder / PAYLOAD),
            allowed=digest,
            hint="copy the model again, or give the digest of the one that is meant",
        )
    if family is None:
        choice = read_choice(folder)
        family, variant = choice.family, variant or choice.variant
    variant = variant or "fp32"
    # Batches are small: to wake a pool of threads costs more than they save.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    model = load(folder, family=family, variant=variant, threads=threads)
    identity = Identity(name, version, digest, family, variant)
    return Served(model, model.labels, model.input, identity)


def run(
    served: Served, settings: Serving, places: Places, *, ready: Callable[[Places], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        served: The model.
        settings: How.
        places: Where; port 0 takes a free one.
        ready: Told the real places when requests are taken.

    Raises:
        StoreError: A port is taken, or the host is not of this machine.
    """
    most = settings.batching.max_batch_size
    costs = warm(served.scorer, served.input, len(served.labels), most=most)
    _allow_files(2 * settings.limits.connections)
    # What was loaded stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    uvloop.run(_serve(served, settings, places, costs, ready))


def _allow_files(sockets: int) -> None:
    """Raise the soft limit of open files, so that connections meet our bound and not that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(
    served: Served,
    settings: Serving,
    places: Places,
    costs: Costs,
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
    tracing = Tracing.start(served.identity)
    observer = Observer(Metrics(served.identity, gauges), load, tracing, settings.access_log)
    batcher = Batcher(
        served.scorer,
        settings.batching,
        costs=costs,
        loop=loop,
        watcher=observer,
    )
    predictor = Predictor(
        served.identity,
        served.labels,
        served.input,
        settings,
        batcher=batcher,
        observer=observer,
    )
    replies = Replies(served.identity, load)
    http = HttpServer(predictor, replies, Routes(predictor), trace_ratio=settings.traces.ratio)
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
