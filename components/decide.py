"""decide: whether drift begins a retraining."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def decide(
    watched: dsl.Input[dsl.Artifact],
    rows: dsl.Input[dsl.Dataset],
    params: str,
    settings: str,
    run: str,
    decision: dsl.Output[dsl.Markdown],
) -> str:
    """Note the look, and begin a retraining if it is time for one: `yes` or `no`."""
    from openautoglm.steps import shown
    from openautoglm.steps.retrain import decide, summary

    made = decide(watched, rows, params, settings, run)
    shown.write(decision, summary(made))
    # One value without a name: of others Kubeflow's local runner evaluates no condition.
    return made.retrain
