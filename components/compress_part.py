"""compress_part: a share of the recipes of compress."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def compress_part(
    prepared: dsl.Input[dsl.Dataset],
    trained: dsl.Input[dsl.Model],
    params: str,
    part: int,
    parts: int,
    work: dsl.Output[dsl.Artifact],
) -> None:
    """Build one share of the recipes' variants, which compress takes up."""
    from openautoglm.steps.parts import compress_part

    compress_part({"prepared": prepared, "trained": trained}, params, part, parts, work)
