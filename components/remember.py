"""remember: with a registered version, where its artifacts are."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def remember(
    prepared: dsl.Input[dsl.Dataset],
    compressed: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    registration: dsl.Input[dsl.Artifact],
    params: str,
) -> None:
    """Note with a registered version where its artifacts are, for later runs."""
    from openautoglm.steps.places import remember

    artifacts = {"prepared": prepared, "compressed": compressed, "evaluation": evaluation}
    remember(artifacts, registration, params)
