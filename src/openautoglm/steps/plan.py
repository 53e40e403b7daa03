"""The first task of a pipeline run: its parameters, checked, and what each step sees of them."""

from __future__ import annotations

from pathlib import Path

from openautoglm.config.data import DvcSource
from openautoglm.config.params import Params, view
from openautoglm.config.yaml import check, parse
from openautoglm.errors import ConfigError
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import entry

WHERE = Path("params of this run")


@entry
def plan(params: str, revision: str = "") -> tuple[str, ...]:
    """Each step's view of a run's parameters as JSON, in the order of the catalog.

    Text, because Kubeflow's own structures have neither null nor whole numbers.

    Args:
        params: What `params.yaml` would hold.
        revision: Commit, tag or branch of the DVC repository; empty takes what `params` names.

    Raises:
        SystemExit: With 2, after the error was printed: a key or value is not allowed, or the
            data has no revision.
    """
    working_on("plan")
    whole = planned(params, revision)
    say(f"model {whole.model.name}, data of kind {whole.data.source.kind}")
    return tuple(view(whole, step.params).model_dump_json(by_alias=True) for step in STEPS.values())


def planned(params: str, revision: str = "") -> Params:
    """The parameters of a run, checked, with its data at a revision.

    Raises:
        ConfigError: A key or value is not allowed, or the data has no revision.
    """
    whole = check(parse(params, WHERE), Params, WHERE)
    if not revision:
        return whole
    source = whole.data.source
    if not isinstance(source, DvcSource):
        raise ConfigError(
            f"data of kind `{source.kind}` has no DVC revision",
            where=f"{WHERE}, key data.source; argument revision",
            allowed="{kind: dvc, repo: URL, path: data/mine.csv}, or no revision",
        )
    at = source.model_copy(update={"rev": revision})
    return whole.model_copy(update={"data": whole.data.model_copy(update={"source": at})})
