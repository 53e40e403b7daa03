"""prepare: check the rows, split them by hash."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def prepare(
    raw: dsl.Input[dsl.Dataset],
    params: str,
    prepared: dsl.Output[dsl.Dataset],
    rows: dsl.Output[dsl.Metrics],
) -> None:
    """Check the rows, report what is rejected, split by hash of the text."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    folder = run("prepare", {"raw": raw}, params, prepared)
    shown.log(rows, shown.rows(folder))
