"""What the pipelines are made of: the chain of steps, in parts that several of them hold."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kfp import dsl

from components.canary import canary
from components.compress import compress
from components.compress_part import compress_part
from components.drift import drift
from components.evaluate import evaluate
from components.fetch import fetch
from components.locate import locate
from components.plan import plan
from components.prepare import prepare
from components.record import record
from components.register import register
from components.remember import remember
from components.rollout import rollout
from components.train import train
from components.tune import tune
from components.tune_part import tune_part
from openautoglm.kubeflow.building import building, place


class Rows(NamedTuple):
    """What a run begins with.

    Attributes:
        params: What `params.yaml` holds.
        views: Each step's view of that, by step.
        prepared: The rows, split.
    """

    params: Any
    views: Mapping[str, Any]
    prepared: Any


class Model(NamedTuple):
    """What effects need of a model."""

    prepared: Any
    compressed: Any
    evaluation: Any


def rows_of(params: Any, revision: Any) -> Rows:
    """Check the parameters, fetch the rows and split them.

    Args:
        params: What `params.yaml` holds.
        revision: Of the DVC repository; empty takes what `params` names.
    """
    views = place(plan(params=params, revision=revision), "plan").outputs
    fetched = place(fetch(params=views["fetch"]), "fetch")
    prepared = place(prepare(raw=fetched.outputs["raw"], params=views["prepare"]), "prepare")
    return Rows(params, views, prepared.outputs["prepared"])


def model_of(rows: Rows) -> Model:
    """From rows to a model that is measured: tune, train, compress, evaluate, drift."""
    views, prepared = rows.views, rows.prepared
    tuned = _tuned(rows).outputs["tuned"]
    trained = place(train(prepared=prepared, tuned=tuned, params=views["train"]), "train")
    model = _compressed(rows, trained.outputs["trained"]).outputs["compressed"]
    evaluated = place(
        evaluate(prepared=prepared, compressed=model, params=views["evaluate"]), "evaluate"
    )
    place(drift(prepared=prepared, compressed=model, params=views["drift"]), "drift")
    return Model(prepared, model, evaluated.outputs["evaluation"])


def located(views: Mapping[str, Any], version: Any) -> Model:
    """The artifacts of a registered version."""
    found = place(locate(params=views["register"], version=version), "locate").outputs
    return Model(
        _imported(found["prepared"], dsl.Dataset),
        _imported(found["compressed"], dsl.Model),
        _imported(found["evaluation"], dsl.Artifact),
    )


def _imported(uri: Any, kind: type[dsl.Artifact]) -> Any:
    return dsl.importer(artifact_uri=uri, artifact_class=kind, reimport=False).output


def registered(model: Model, views: Mapping[str, Any]) -> Any:
    """register, which says itself when a gate has failed; its receipt."""
    task = register(
        compressed=model.compressed, evaluation=model.evaluation, params=views["register"]
    )
    receipt = place(task, "register").outputs["registration"]
    noted = remember(**model._asdict(), registration=receipt, params=views["register"])
    place(noted, "remember")
    return receipt


def live(model: Model, registration: Any, views: Mapping[str, Any], patience_minutes: Any) -> None:
    """canary, and where a live service serves the model, its rollout."""
    tried = canary(
        prepared=model.prepared,
        compressed=model.compressed,
        registration=registration,
        params=views["canary"],
    )
    place(tried, "canary")
    with dsl.If(tried.outputs["Output"] == "ready", name="live-service"):
        rolled = rollout(
            canary=tried.outputs["canary"],
            params=views["canary"],
            patience_minutes=patience_minutes,
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        )
        place(rolled, "rollout")


def recorded(pipeline: str, params: Any) -> dsl.PipelineTask:
    """The exit handler's task."""
    task = record(pipeline=pipeline, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, params=params)
    return place(task, "record")


def _tuned(rows: Rows) -> dsl.PipelineTask:
    """tune, after workers have run its trials."""
    workers = building().settings.fan_out.tune
    task = tune(prepared=rows.prepared, params=rows.views["tune"])
    if workers > 1:
        with dsl.ParallelFor(list(range(workers)), name="tune-workers") as worker:
            part = tune_part(prepared=rows.prepared, params=rows.params, worker=worker)
            place(part, "tune_part", looped=True)
        task.after(part)
    return place(task, "tune")


def _compressed(rows: Rows, model: Any) -> dsl.PipelineTask:
    """compress, with the recipes' variants that other tasks have built."""
    parts = building().settings.fan_out.compress
    given = {"prepared": rows.prepared, "trained": model}
    if parts > 1:
        with dsl.ParallelFor(list(range(parts)), name="recipes") as part:
            built = compress_part(**given, params=rows.params, part=part, parts=parts)
            place(built, "compress_part", looped=True)
        given["work"] = dsl.Collected(built.outputs["work"])
    return place(compress(**given, params=rows.views["compress"]), "compress")
