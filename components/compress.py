"""compress: quantise, prune, distil; choose the variant that is served."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def compress(
    prepared: dsl.Input[dsl.Dataset],
    trained: dsl.Input[dsl.Model],
    params: str,
    compressed: dsl.Output[dsl.Model],
    variants: dsl.Output[dsl.Markdown],
    work: dsl.Input[list[dsl.Artifact]] = None,
) -> None:
    """Quantise, prune, distil; keep the Pareto set, choose the variant that is served."""
    from openautoglm.steps import shown
    from openautoglm.steps.component import run

    inputs = {"prepared": prepared, "trained": trained}
    folder = run("compress", inputs, params, compressed, work or [])
    shown.write(variants, shown.variants(folder))
