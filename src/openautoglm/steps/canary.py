"""canary: the registered model beside the champion, on the replay split behind a real gateway."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openautoglm.artifacts.digest import value_digest
from openautoglm.artifacts.manifest import Manifest, read_manifest
from openautoglm.client.calls import Row
from openautoglm.config.params import CanaryParams
from openautoglm.config.project import Project
from openautoglm.data.prepared import read
from openautoglm.deploy.local.known import serving
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say
from openautoglm.registry.store import Store, open_store
from openautoglm.registry.tried import ModelVersion, Tried
from openautoglm.registry.versions import (
    CHAMPION,
    DIGEST,
    aliases,
    by_name,
    find,
    follow_promotion,
)
from openautoglm.rollout.canary.run import compare
from openautoglm.rollout.canary.service import folder_of
from openautoglm.rollout.plan import check_objective
from openautoglm.serving.observe.metrics import LATENCY_EDGES
from openautoglm.steps.effect import (
    SKIPPED,
    Receipt,
    effect,
    in_experiment,
    read_receipt,
    write_receipt,
)
from openautoglm.steps.register import Registration
from openautoglm.steps.runtime import Runtime

ALONE = "it is the champion: there is none to compare it with"
READY = "ready for rollout"


@effect
def canary(
    *,
    prepared: Path,
    compressed: Path,
    registration: Path,
    params: CanaryParams,
    runtime: Runtime,
    out: Path,
) -> None:
    """Write `receipt.json`; make the model the champion if it is no worse and nobody serves one.

    Its verdict is `champion` (there was nothing to compare with), `promoted`, `ready` (no worse,
    but a live service serves this model: its own rollout decides), `worse`, `undecided`, or
    `skipped`.

    Raises:
        ArtifactError: The registration is of another model, or the registry does not hold it.
        ConfigError: Nobody counts answers by the objective, or a version cannot be served.
        BusyError: Another canary of this model is under way.
        DeployError: Champion and challenger do not become ready.
        StoreError: The registry does not answer.
    """
    model, told = read_manifest(compressed), read_receipt(registration, Registration)
    if told.model_digest != model.digest:
        raise ArtifactError(
            "the registration is of another model",
            where=str(registration),
            allowed=f"a registration of {model.digest}",
            hint="dvc repro",
        )
    check_objective(params.canary.metrics, LATENCY_EDGES, "params.yaml, key canary")
    if in_experiment():
        verdict, reason = "skipped", SKIPPED
    elif not told.registered:
        verdict, reason = "skipped", f"not registered: {told.reason}"
    else:
        found = _tried(prepared, model, params, runtime)
        verdict, reason = found.verdict, found.reason
    say(f"{verdict}: {reason}" if verdict != "skipped" else reason)
    write_receipt(out, Receipt(model_digest=model.digest, verdict=verdict, reason=reason))


def _tried(prepared: Path, model: Manifest, params: CanaryParams, runtime: Runtime) -> Tried:
    """What is noted with this model's version, or is found out now; and what follows from it."""
    name, project = params.model.name, Project(runtime.project)
    store = open_store(project)
    version = find(store, name, model.digest)
    champion = aliases(store, name).get(CHAMPION)
    if version is None or champion is None:
        raise ArtifactError(
            f"the registry does not hold this model under the name {name}"
            if version is None
            else f"no version of {name} has the alias {CHAMPION}",
            where=store.uri,
            hint="openautoglm verify",
        )
    known = Tried.of(version)
    if champion == str(version.version):
        return known or _note(store, version, Tried("champion", ALONE, "", model.digest))
    other = by_name(store, name, champion)
    against = str(other.tags.get(DIGEST))
    key = value_digest(
        {
            "champion": against,
            "data": model.lineage.get("prepare"),
            "settings": params.canary.model_dump(mode="json"),
        }
    )
    if known is None or known.key != key:
        known = _compared(store, version, other, prepared, params, runtime, key)
    else:
        say("it stood beside this champion before, on these rows: nothing to do")
    # Between the note and the alias, somebody may have been killed.
    if known.verdict == "promoted" and follow_promotion(store, name, str(version.version)):
        say(f"{name}: version {version.version} is the champion, version {champion} was")
    if known.verdict == "ready":
        _tell_rollout(project, name, str(version.version))
    return known


def _compared(
    store: Store,
    version: ModelVersion,
    champion: ModelVersion,
    prepared: Path,
    params: CanaryParams,
    runtime: Runtime,
    key: str,
) -> Tried:
    name, project = params.model.name, Project(runtime.project)
    against = str(champion.tags.get(DIGEST))
    rows, labels = _replay(prepared)
    if not rows:
        nothing = Tried("undecided", "the replay split has no rows", key, against)
        return _note(store, version, nothing)
    found = compare(
        project,
        name,
        str(champion.version),
        str(version.version),
        rows,
        labels,
        params.canary,
        runtime.tracker,
    )
    say(f"curves and report: mlflow ui, run `{found.name}`")
    verdict, reason = str(found.verdict), found.reason
    if found.verdict == "no_worse":
        live = serving(project, name, besides=folder_of(project, name).name)
        verdict = "ready" if live else "promoted"
        reason += f"; a live service serves {name}: {READY}" if live else ""
    return _note(store, version, Tried(verdict, reason, key, against))


def _note(store: Store, version: ModelVersion, tried: Tried) -> Tried:
    tried.note(store, version)
    return tried


def _replay(prepared: Path) -> tuple[list[Row], list[str]]:
    """The replay split in an order of its own: rows as clients send them, and their labels."""
    found = read(prepared)
    split = found.split("replay")
    # By id: what comes early is a random part, and the same in every run.
    inputs: list[Row] = (
        split.inputs.tolist() if isinstance(split.inputs, np.ndarray) else list(split.inputs)
    )
    return inputs, [found.labels[place] for place in split.y]


def _tell_rollout(project: Project, model: str, version: str) -> None:
    for service in serving(project, model, besides=folder_of(project, model).name):
        say(f"{READY}: openautoglm rollout start {service} --challenger {version}")
