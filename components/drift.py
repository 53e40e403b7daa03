"""drift: compare test, and a window shifted on purpose, with the reference split."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def drift(
    prepared: dsl.Input[dsl.Dataset],
    compressed: dsl.Input[dsl.Model],
    params: str,
    drift: dsl.Output[dsl.Artifact],
    effects: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Compare test, and a window shifted on purpose, with the reference split."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    inputs = {"prepared": prepared, "compressed": compressed}
    folder = run("drift", inputs, params, drift)
    shown.log(effects, shown.effects(folder))
    shown.page(report, folder, "drift.html")
