"""rollout: what canary found ready goes live where it is served; a pipeline waits for its end."""

from typing import NamedTuple

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def rollout(
    canary: dsl.Input[dsl.Artifact],
    params: str,
    summary: dsl.Output[dsl.Markdown],
    report: dsl.Output[dsl.HTML],
    patience_minutes: float = 60.0,
    run: str = "",
) -> NamedTuple("Receipt", [("model_digest", str), ("verdict", str), ("reason", str)]):
    """Roll out what canary found ready; promoted, rolled back or held is a result."""
    from openautoglm.steps.rollout import rollout as roll_out

    return roll_out(canary, params, patience_minutes, run, summary, report)
