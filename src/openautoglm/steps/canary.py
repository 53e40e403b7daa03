"""canary: the registered model beside the champion, on the replay split behind a real gateway."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from openautoglm.artifacts.digest import value_digest
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.client.calls import Row
from openautoglm.config.params import CanaryParams
from openautoglm.config.project import Project
from openautoglm.data.prepared import read
from openautoglm.deploy.local.known import serving
from openautoglm.errors import ArtifactError, StoreError
from openautoglm.observability.progress import say
from openautoglm.registry.store import Store, open_store
from openautoglm.registry.tried import ModelVersion, Tried, has_moved, note_moved
from openautoglm.registry.versions import (
    CHAMPION,
    DIGEST,
    aliases,
    by_name,
    find,
    follow_promotion,
)
from openautoglm.rollout.canary.run import Outcome, compare
from openautoglm.rollout.canary.service import folder_of
from openautoglm.rollout.plan import check_objective
from openautoglm.rollout.published import publish
from openautoglm.serving.observe.metrics import LATENCY_EDGES
from openautoglm.steps.effect import (
    SKIPPED,
    Receipt,
    Registration,
    effect,
    in_experiment,
    read_receipt,
    write_receipt,
)
from openautoglm.steps.runtime import Runtime

ALONE = "it is the champion: there is none to compare it with"
READY = "ready for rollout"
ELSEWHERE = "a service runs on Linux"
FEWEST = 30
"""Rows of the replay split: what fewer say is said again and again, and is no evidence."""
VERDICTS = {
    "alone": ("champion",),
    "no_worse": ("promoted", "ready"),
    "worse": ("worse",),
    "undecided": ("undecided",),
}
"""By what was found, what a receipt may say."""


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
        BusyError: Another canary of this model is under way.
        ConfigError: Nobody counts answers by the objective, or a version cannot be served.
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
    elif sys.platform != "linux":
        verdict, reason = "skipped", ELSEWHERE
    else:
        verdict, reason = _Beside(prepared, model.digest, params, runtime).verdict()
    say(f"{verdict}: {reason}" if verdict != "skipped" else reason)
    write_receipt(out, Receipt(model_digest=model.digest, verdict=verdict, reason=reason))


class _Beside:
    """One model beside the champion of its name, while the project's lock is held."""

    def __init__(self, prepared: Path, digest: str, params: CanaryParams, runtime: Runtime) -> None:
        self._name, self._settings = params.model.name, params.canary
        self._project, self._prepared = Project(runtime.project), prepared
        self._tracker = runtime.tracker
        self._store: Store = open_store(self._project)
        self._version = self._found(digest)

    def verdict(self) -> tuple[str, str]:
        """Verdict and reason: what was found, before or now, and what follows from it today."""
        known, champion = Tried.of(self._version), self._champion()
        if champion == str(self._version.version):
            known = known or self._noted(Tried("alone", ALONE, ""))
            if known.finding == "no_worse" and not has_moved(self._version):
                note_moved(self._store, self._version)  # a kill came between alias and note
                return "promoted", known.reason
        else:
            known = self._tried(known, by_name(self._store, self._name, champion))
        if known.finding != "no_worse" or has_moved(self._version):
            return VERDICTS[known.finding][0], known.reason
        return self._promoted_or_ready(known)

    def _promoted_or_ready(self, known: Tried) -> tuple[str, str]:
        """Asked last, since a service may have come meanwhile."""
        name, number = self._name, str(self._version.version)
        live = serving(self._project, name, besides=folder_of(self._project, name).name)
        if live:
            for service in live:
                say(f"{READY}: openautoglm rollout start {service} --challenger {number}")
            return "ready", f"{known.reason}; a live service serves {name}: {READY}"
        follow_promotion(self._store, name, number)
        note_moved(self._store, self._version)
        say(f"{name}: version {number} is the champion")
        return "promoted", known.reason

    def _tried(self, known: Tried | None, champion: ModelVersion) -> Tried:
        """The finding about this pair: the one that is known, unless it is none."""
        key = value_digest(
            {
                "champion": champion.tags.get(DIGEST),
                "rows": read_manifest(self._prepared).digest,
                "settings": self._settings.model_dump(mode="json"),
            }
        )
        if known and known.key == key and known.finding != "undecided":
            say("it stood beside this champion before, on these rows: nothing to do")
            return known
        rows, labels = _replay(self._prepared)
        if len(rows) < FEWEST:
            few = f"the replay split has {len(rows)} rows, and {FEWEST} are the fewest"
            return self._noted(Tried("undecided", few, key))
        found = compare(
            self._project,
            self._name,
            str(champion.version),
            str(self._version.version),
            rows,
            labels,
            self._settings,
        )
        tried = self._noted(Tried(found.verdict, found.reason, key))
        self._publish(found)
        return tried

    def _publish(self, found: Outcome) -> None:
        """Curves and report; the verdict stands without them."""
        if not found.records:
            return
        try:
            publish(self._tracker, found.service, found.records, found.points)
            say(f"curves and report: mlflow ui, run `{found.run}`")
        except StoreError as error:
            say(f"curves and report were not kept: {error.what} ({error.where})")

    def _noted(self, tried: Tried) -> Tried:
        tried.note(self._store, self._version)
        return tried

    def _champion(self) -> str:
        champion = aliases(self._store, self._name).get(CHAMPION)
        if champion is None:
            raise ArtifactError(
                f"no version of {self._name} has the alias {CHAMPION}",
                where=self._store.uri,
                hint="give it to one in mlflow ui: Models, the version, Aliases",
            )
        return champion

    def _found(self, digest: str) -> ModelVersion:
        version = find(self._store, self._name, digest)
        if version is None:
            raise ArtifactError(
                f"the registry does not hold this model under the name {self._name}",
                where=self._store.uri,
                hint="openautoglm verify",
            )
        return version


def is_told_by(receipt: Receipt, version: ModelVersion) -> bool:
    """Whether a registry knows of the canary that a receipt tells of."""
    if receipt.reason == ELSEWHERE:
        return sys.platform != "linux"
    known = Tried.of(version)
    return known is not None and receipt.verdict in VERDICTS.get(known.finding, ())


def _replay(prepared: Path) -> tuple[list[Row], list[str]]:
    """The replay split as clients send it, and its labels.

    Its rows are sorted by a hash, so that those that come first are a random part.
    """
    found = read(prepared)
    split = found.split("replay")
    given = split.inputs
    inputs: list[Row] = given.tolist() if isinstance(given, np.ndarray) else list(given)
    return inputs, [found.labels[place] for place in split.y]
