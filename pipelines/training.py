"""training: data at a DVC revision to a registered model."""

from kfp import dsl

from openautoglm.kubeflow.building import building
from pipelines.chain import model_of, recorded, registered, rows_of


@dsl.pipeline(name="training", description="Data at a DVC revision to a registered model.")
def training(params: str = building().params, revision: str = ""):
    """Fetch, prepare, tune, train, compress, evaluate, drift, register.

    Args:
        params: What params.yaml holds.
        revision: Commit, tag or branch of the DVC repository; empty takes what params names.
    """
    with dsl.ExitHandler(recorded("training", params), name="chain"):
        rows = rows_of(params, revision)
        registered(model_of(rows), rows.views)
