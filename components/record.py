"""record: how a run ended, whatever happened."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def record(pipeline: str, run: str, params: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Keep in MLflow how the run ended, end its retraining, and tell somebody."""
    from openautoglm.steps.record import record

    record(status, pipeline=pipeline, run=run, params=params)
