"""A replica's gRPC side in this process, over a small model, and plain calls of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import numpy as np
import pytest
import uvloop
from sklearn.datasets import load_wine

from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.recipe import Source
from openautoglm.config.serving import Serving
from openautoglm.inference.model import Model, load
from openautoglm.inference.package import Choice, Family, Package, TextInput, Variant
from openautoglm.serving.batching.batcher import Batcher
from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.batching.run import Scorer
from openautoglm.serving.listen import Places
from openautoglm.serving.observe.load import Load
from openautoglm.serving.observe.metrics import Gauges, Metrics
from openautoglm.serving.observe.observer import Observer
from openautoglm.serving.observe.tracing import Tracing
from openautoglm.serving.predictor import Identity, Predictor
from openautoglm.serving.rpc import messages
from openautoglm.serving.rpc.server import start
from openautoglm.training import families
from openautoglm.training.job import Job, Rows
from tests.support.training import job
from tests.support.wait import PATIENCE

IDENTITY = Identity("clc", "3", "sha256-" + "0" * 64, "small", "fp32")
INFER = "/inference.GRPCInferenceService/ModelInfer"


def text_model(folder: Path) -> Model:
    """A small model of texts, made in an empty folder."""
    given = job(folder / "work")
    return load(_packed(folder, given, [f"L{place}" for place in range(given.classes)]))


def wine_model(folder: Path) -> Model:
    """One of scikit-learn's wines: 13 numbers, 3 labels."""
    wine = load_wine()
    order = np.random.default_rng(0).permutation(len(wine.data))
    x, y = wine.data[order], wine.target[order].astype(np.int64)
    given = replace(
        job(folder / "work"),
        train=Rows(x[:130], y[:130]),
        valid=Rows(x[130:], y[130:]),
        classes=3,
        features=tuple(wine.feature_names),
    )
    return load(_packed(folder, given, [str(name) for name in wine.target_names]))


def _packed(folder: Path, given: Job, labels: Sequence[str]) -> Path:
    """`folder` as compress leaves it, with one network and its fp32 graph."""
    network, family = folder / "network", folder / "payload" / "small"
    family.mkdir(parents=True)
    network.mkdir()
    families.fit("glm", given, network)
    restored = families.restore("glm", network)
    source = Source(restored.module, restored.example, family / "fp32.onnx", ())
    RECIPES["fp32"].build(source, source.fp32)
    taken = restored.input
    if isinstance(taken, TextInput):
        (family / "tokenizer.json").write_bytes((network / taken.tokenizer).read_bytes())
        taken = taken.model_copy(update={"tokenizer": "small/tokenizer.json"})
    variant = Variant(
        file="small/fp32.onnx", bytes=1, max_difference=0, odd_difference=0, agreement=1
    )
    part = Family(
        kind="trained", settings={}, operations=1, input=taken, variants={"fp32": variant}
    )
    package = Package(
        labels=tuple(labels),
        base=None,
        candidate="small",
        fallback=None,
        families={"small": part},
    )
    (folder / "payload" / "model.json").write_text(package.model_dump_json())
    choice = Choice(family="small", variant="fp32", reason="the only one")
    (folder / "choice.json").write_text(choice.model_dump_json())
    return folder


class Held:
    """A model that stands still in its first call until it is let go.

    Attributes:
        entered: Set in that call.
        go: What it waits for.
        seen: Rows it was given.
    """

    def __init__(self, model: Model) -> None:
        self.labels, self.input = model.labels, model.input
        self.entered, self.go = threading.Event(), threading.Event()
        self.seen: list[Any] = []
        self._model = model

    def encode(self, rows: Any) -> Any:
        self.seen.extend(rows)
        return self._model.encode(rows)

    def score(self, values: Any) -> Any:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        return self._model.score(values)


@contextmanager
def serving(
    model: Scorer, *, port: int = 0, reuse_port: bool = False, grace: float = 1.0, **settings: Any
) -> Iterator[tuple[Predictor, str]]:
    """A predictor behind gRPC, in an event loop of its own; yields it and its address.

    Args:
        model: What is served.
        port: Where.
        reuse_port: Whether others may be there too.
        grace: Seconds for calls under way at the end.
        settings: Of `Serving`.
    """
    found: Future[tuple[Predictor, str]] = Future()
    stop: Future[None] = Future()

    async def run() -> None:
        predictor, batcher = _predictor(model, Serving.model_validate(settings))
        places = Places("127.0.0.1", 0, port, reuse_port)
        try:
            server = await start(predictor, places, trace_ratio=0.0)
            predictor.ready = True
            found.set_result((predictor, f"127.0.0.1:{server.port}"))
            await asyncio.wrap_future(stop)
            predictor.ready = False
            await server.stop(grace)
        except Exception as error:
            if found.done():
                raise
            found.set_exception(error)
        finally:
            batcher.close()
            batcher.join(PATIENCE)

    thread = threading.Thread(target=lambda: uvloop.run(run()))
    thread.start()
    try:
        yield found.result(PATIENCE)
    finally:
        stop.set_result(None)
        thread.join(PATIENCE)
    assert not thread.is_alive()


def _predictor(model: Any, settings: Serving) -> tuple[Predictor, Batcher]:
    gauges = Gauges(*(lambda: 0.0 for _ in Gauges._fields))
    told = Load(lambda: 0.0, perf_counter())
    observer = Observer(Metrics(IDENTITY, gauges), told, Tracing(None), "none")
    batcher = Batcher(
        model,
        settings.batching,
        costs=Costs(call=1.0, token=0.0),
        loop=asyncio.get_running_loop(),
        watcher=observer,
    )
    predictor = Predictor(
        IDENTITY, model.labels, model.input, settings, batcher=batcher, observer=observer
    )
    return predictor, batcher


def ask(
    address: str, method: str, request: Any, response: Any, **more: Any
) -> tuple[Any, dict[str, Any]]:
    """One call of a channel of its own: the answer and the trailing metadata."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(method, type(request).SerializeToString, response.FromString)
        answer, done = call.with_call(request, **{"timeout": PATIENCE, **more})
        return answer, dict(done.trailing_metadata())


def infer_request(*texts: str) -> Any:
    """Texts in typed contents."""
    request = messages.ModelInferRequest(model_name=IDENTITY.name)
    tensor = request.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    return request


def infer(address: str, request: Any, **more: Any) -> tuple[Any, dict[str, Any]]:
    """One inference."""
    return ask(address, INFER, request, messages.ModelInferResponse, **more)


def refused(address: str, request: Any, **more: Any) -> Any:
    """The error of one inference."""
    with pytest.raises(grpc.RpcError) as caught:
        infer(address, request, **more)
    return caught.value


def begin(channel: grpc.Channel, *texts: str, timeout: float = PATIENCE) -> Any:
    """An inference that is under way."""
    call = channel.unary_unary(
        INFER,
        messages.ModelInferRequest.SerializeToString,
        messages.ModelInferResponse.FromString,
    )
    return call.future(infer_request(*texts), timeout=timeout)


def health(address: str, service: str = "") -> str:
    """What the standard health check says."""
    request = messages.HealthCheckRequest(service=service)
    answer, _ = ask(address, "/grpc.health.v1.Health/Check", request, messages.HealthCheckResponse)
    return str(messages.HealthCheckResponse.ServingStatus.Name(answer.status))
