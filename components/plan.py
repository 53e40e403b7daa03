"""The parameters of a run, checked, and each step's view of them."""

from typing import NamedTuple

from openautoglm.kubeflow.building import component


@component
def plan(params: str, revision: str = "") -> NamedTuple(
    "Views",
    [
        ("fetch", str),
        ("prepare", str),
        ("tune", str),
        ("train", str),
        ("compress", str),
        ("evaluate", str),
        ("drift", str),
        ("register", str),
        ("canary", str),
    ],
):
    """Check a run's parameters; give each step its view of them."""
    from openautoglm.steps.plan import plan

    return plan(params, revision)
