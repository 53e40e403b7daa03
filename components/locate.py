"""locate: where the artifacts of a registered version are."""

from typing import NamedTuple

from openautoglm.kubeflow.building import component


@component
def locate(params: str, version: str) -> NamedTuple(
    "Places", [("prepared", str), ("compressed", str), ("evaluation", str)]
):
    """Find the artifacts of a registered version."""
    from openautoglm.steps.places import locate

    return locate(params, version)
