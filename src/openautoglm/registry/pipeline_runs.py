"""One MLflow run for each run of a pipeline: how it ended, and with what parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openautoglm.registry.store import Store, answering
from openautoglm.registry.tracker import MlflowTracker

_STATUS = {"succeeded": "FINISHED", "cancelled": "KILLED"}


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline's run that has ended.

    Attributes:
        pipeline: The pipeline's name.
        run: Kubeflow's id of the run.
        state: `succeeded`, `failed` or `cancelled`; another state as Kubeflow calls it.
        error: What went wrong, as far as Kubeflow tells; empty where nothing did.
        link: Its page in Kubeflow's UI; empty where that is not known.
        params: What `params.yaml` held, as plain values.
    """

    pipeline: str
    run: str
    state: str
    error: str
    link: str
    params: Mapping[str, Any]


def keep(store: Store, ended: PipelineRun) -> None:
    """Keep a pipeline's run, once however often it is told.

    Raises:
        StoreError: The store does not answer.
    """
    told = {"pipeline": ended.pipeline, "pipeline.run": ended.run, "pipeline.state": ended.state}
    more = {"pipeline.error": ended.error, "pipeline.link": ended.link}
    tags = told | {key: value for key, value in more.items() if value}
    with MlflowTracker(store).run(f"pipeline {ended.pipeline}", key=ended.run, tags=tags) as run:
        run.params(ended.params)
    with answering(store.uri):
        store.client.set_terminated(run.id, _STATUS.get(ended.state, "FAILED"))
