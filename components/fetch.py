"""fetch: copy the source's rows."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def fetch(params: str, raw: dsl.Output[dsl.Dataset]) -> None:
    """Copy the source's rows."""
    from openautoglm.steps.component import run

    run("fetch", {}, params, raw)
