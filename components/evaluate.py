"""evaluate: measure on test beside the baseline; pass or fail the gate."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def evaluate(
    prepared: dsl.Input[dsl.Dataset],
    compressed: dsl.Input[dsl.Model],
    params: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> str:
    """Measure on test beside the baseline; pass or fail the gate."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    inputs = {"prepared": prepared, "compressed": compressed}
    folder = run("evaluate", inputs, params, evaluation)
    shown.log(metrics, shown.metrics(folder))
    confusion.log_confusion_matrix(*shown.confusion(folder))
    shown.page(report, folder, "report.html")
    return shown.verdict(folder)
