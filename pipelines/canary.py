"""canary: a model that training has made, from register to promoted or rolled back."""

from kfp import dsl

from components.plan import plan
from openautoglm.kubeflow.building import building, place
from pipelines.chain import live, located, recorded, registered


@dsl.pipeline(name="canary", description="Register to promoted or rolled back.")
def canary(
    version: str = "latest",
    params: str = building().params,
    patience_minutes: float = 60.0,
):
    """Register, stand beside the champion, and roll out where a service is live.

    Args:
        version: Of the model: a number, an alias, or the latest.
        params: What params.yaml holds.
        patience_minutes: How long a rollout may be held before that is the result.
    """
    with dsl.ExitHandler(recorded("canary", params), name="effects"):
        views = place(plan(params=params), "plan").outputs
        model = located(views, version)
        live(model, registered(model, views), views, patience_minutes)
