"""What the component `decide` does: note a look, and begin a retraining if it is time for one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.retrain import RetrainSettings
from openautoglm.observability.progress import say, working_on
from openautoglm.registry.retraining import Retrainings
from openautoglm.registry.retraining_records import SUCCEEDED, Look, Retraining
from openautoglm.registry.store import Store, open_store
from openautoglm.registry.versions import CHAMPION, aliases, by_name
from openautoglm.steps.component import Artifact, checked, entry, this_project
from openautoglm.steps.plan import planned
from openautoglm.steps.retrain_rules import (
    NO,
    YES,
    Decision,
    blocks,
    decision,
    in_the_way,
)
from openautoglm.steps.windows.result import read_result


@entry
def decide(
    watched: Artifact,
    rows: Artifact,
    params: str,
    settings: str,
    run: str,
    now: Callable[[], float] = time.time,
) -> Decision:
    """Note a look, and begin a retraining if it is time for one.

    Called again by the same pipeline run it notes nothing twice, and comes to the same.

    Args:
        watched: The window's report.
        rows: What a retraining would learn from, as fetch or prepare left it.
        params: What `params.yaml` would hold.
        settings: `retrain` of the pipelines' settings, as JSON.
        run: Kubeflow's id of the pipeline's run.
        now: The clock, in seconds since 1970.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    working_on("decide")
    rules, model = (
        checked(RetrainSettings, settings, "decide", "settings"),
        planned(params).model.name,
    )
    found = read_result(Path(watched.path))
    look = Look(
        run=run,
        at=now(),
        model=found["model_digest"],
        window=found["digest"],
        verdict=found["verdict"],
        reason=found["reason"],
    )
    learned = read_manifest(Path(rows.path))
    store = open_store(this_project())
    made = decided(store, model, look, learned.digest, rules, step=learned.step)
    say(f"retrain: {made.retrain}: {made.reason}")
    return made


def summary(decision: Decision) -> str:
    """The decision as Markdown."""
    return f"# retrain: {decision.retrain}\n\n{decision.reason}\n"


def decided(
    store: Store, model: str, look: Look, data: str, settings: RetrainSettings, *, step: str
) -> Decision:
    """Note a look, decide, and begin the retraining.

    Args:
        store: An open store.
        model: The registered model.
        look: What was seen, when, and by whom; its time is now.
        data: Digest of the rows that a retraining would learn from.
        settings: The rules.
        step: The step that wrote those rows.
    """
    kept = Retrainings(store, model)
    kept.note(look)
    looks, retrainings = kept.looks(look.model), kept.all()
    known = _known(store, model, retrainings, step)
    made = decision(look, looks, retrainings, data, known, settings)
    if made.retrain == YES:
        other = kept.begin(
            Retraining(look.run, look.at, data),
            blocks=lambda one: blocks(one, look.at, settings),
        )
        if other:
            made = Decision(NO, in_the_way(other, look.at, settings))
    kept.note_decision(look.run, made.retrain, made.reason)
    return made


def _known(
    store: Store, model: str, retrainings: Sequence[Retraining], step: str
) -> dict[str, str]:
    """Rows from which nothing new would come: what the champion, or one since, was made from."""
    found = {
        one.data: f"the retraining of run {one.run}"
        for one in retrainings
        if one.outcome == SUCCEEDED
    }
    champion = aliases(store, model).get(CHAMPION)
    if champion:
        rows = by_name(store, model, champion).tags.get(f"digest.{step}")
        found |= {rows: f"the champion, version {champion}"} if rows else {}
    return found
