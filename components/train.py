"""train: the best of each family."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def train(
    prepared: dsl.Input[dsl.Dataset],
    tuned: dsl.Input[dsl.Artifact],
    params: str,
    trained: dsl.Output[dsl.Model],
    valid: dsl.Output[dsl.Metrics],
) -> None:
    """Train the best of each family; the better one is the candidate."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    folder = run("train", {"prepared": prepared, "tuned": tuned}, params, trained)
    shown.log(valid, shown.valid(folder))
