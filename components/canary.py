"""canary: the registered model beside the champion, on the replay split behind a real gateway."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def canary(
    prepared: dsl.Input[dsl.Dataset],
    compressed: dsl.Input[dsl.Model],
    registration: dsl.Input[dsl.Artifact],
    params: str,
    canary: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Serve champion and challenger side by side; the alias moves to one that is no worse."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    inputs = {"prepared": prepared, "compressed": compressed, "registration": registration}
    folder = run("canary", inputs, params, canary)
    shown.write(summary, shown.receipt(folder))
    return shown.verdict(folder)
