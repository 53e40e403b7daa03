"""tune: search each family's settings."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def tune(
    prepared: dsl.Input[dsl.Dataset],
    params: str,
    tuned: dsl.Output[dsl.Artifact],
    trials: dsl.Output[dsl.Markdown],
) -> None:
    """Search each family's settings, in rounds that no worker count or kill changes."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    folder = run("tune", {"prepared": prepared}, params, tuned)
    shown.write(trials, shown.trials(folder))
