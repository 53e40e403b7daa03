"""tune_part: one of the workers that share the search of tune."""

from kfp import dsl

from openautoglm.kubeflow.building import component


@component
def tune_part(prepared: dsl.Input[dsl.Dataset], params: str, worker: int) -> int:
    """Take part in the search of tune until it is finished; tells how many trials it began."""
    from openautoglm.steps.parts import tune_part

    return tune_part({"prepared": prepared}, params, worker)
