"""register: what passed its gate goes into MLflow's registry, once a digest."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def register(
    compressed: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    params: str,
    registration: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Register the model in MLflow, once a digest; champion when there is none."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    inputs = {"compressed": compressed, "evaluation": evaluation}
    folder = run("register", inputs, params, registration)
    shown.write(summary, shown.receipt(folder))
    return shown.verdict(folder)
