"""watch: a window of rows, or what a service was asked, beside the reference split."""

from typing import NamedTuple

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def watch(
    prepared: dsl.Input[dsl.Dataset],
    compressed: dsl.Input[dsl.Model],
    params: str,
    watched: dsl.Output[dsl.Artifact],
    columns: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    window: str = "",
    service: str = "",
) -> NamedTuple("Told", [("verdict", str), ("reason", str)]):
    """Judge a window beside the rows that the model was made from."""
    from openautoglm.steps import shown
    from openautoglm.steps.watch import effects, told, watch

    inputs = {"prepared": prepared, "compressed": compressed}
    folder = watch(inputs, params, watched, window=window, service=service)
    shown.log(columns, effects(folder))
    shown.page(report, folder, "drift.html")
    return told(folder)
