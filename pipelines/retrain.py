"""retrain: drift, then training, then canary; one at a time, never on too little data."""

from kfp import dsl

from components.decide import decide
from components.watch import watch
from openautoglm.kubeflow.building import building, place
from pipelines.chain import live, located, model_of, recorded, registered, rows_of


@dsl.pipeline(name="retrain", description="Drift, then training, then canary.")
def retrain(
    window: str = "",
    service: str = "",
    params: str = building().params,
    revision: str = "",
    patience_minutes: float = 60.0,
):
    """Look at rows beside those of the champion; when drift lasts, make and try a new model.

    Args:
        window: File or URI of rows to look at.
        service: Instead of a window: what this live service was asked.
        params: What params.yaml holds.
        revision: Commit, tag or branch of the DVC repository; empty takes what params names.
        patience_minutes: How long a rollout may be held before that is the result.
    """
    with dsl.ExitHandler(recorded("retrain", params), name="loop"):
        rows = rows_of(params, revision)
        champion = located(rows.views, "champion")
        watched = watch(
            prepared=champion.prepared,
            compressed=champion.compressed,
            params=params,
            window=window,
            service=service,
        )
        place(watched, "watch")
        decided = decide(
            watched=watched.outputs["watched"],
            rows=rows.prepared,
            params=params,
            settings=building().settings.retrain.model_dump_json(),
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        )
        place(decided, "decide")
        with dsl.If(decided.outputs["Output"] == "yes", name="drift"):
            model = model_of(rows)
            live(model, registered(model, rows.views), rows.views, patience_minutes)
