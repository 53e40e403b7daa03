"""register: what passed its gate goes into MLflow's registry, once a digest."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import Manifest, read_manifest
from openautoglm.config.params import RegisterParams
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError
from openautoglm.inference.package import NumericInput, Package, read_choice, read_package
from openautoglm.observability.progress import say
from openautoglm.registry.register import Candidate, register_model
from openautoglm.registry.store import open_store
from openautoglm.steps.effect import SKIPPED, Registration, effect, in_experiment, write_receipt
from openautoglm.steps.runtime import Runtime


@effect
def register(
    *, compressed: Path, evaluation: Path, params: RegisterParams, runtime: Runtime, out: Path
) -> None:
    """Write `receipt.json`; register the model unless its gate failed or this is an experiment.

    Raises:
        ArtifactError: The evaluation is of another model.
        StoreError: The registry does not answer, or gives back other bytes than it was given.
    """
    model, measured = read_manifest(compressed), read_manifest(evaluation)
    refuse_other(model, measured, evaluation)
    verdict = read_verdict(evaluation)
    passed = verdict["verdict"] == "pass"
    reason = f"gate {'passed' if passed else 'failed'}: {verdict['reason']}"
    if in_experiment():
        passed, reason = False, SKIPPED
    if passed:
        candidate = _candidate(compressed, evaluation, model, measured, params)
        store = open_store(Project(runtime.project))
        register_model(store, candidate, params.register_, runtime.work)
    else:
        say(f"nothing is registered: {reason}")
    receipt = Registration(
        model_digest=model.digest, verdict=verdict["verdict"], registered=passed, reason=reason
    )
    write_receipt(out, receipt)


def refuse_other(model: Manifest, measured: Manifest, evaluation: Path) -> None:
    """Check that an evaluation is of a model.

    Raises:
        ArtifactError: It is of another one.
    """
    if measured.inputs.get("compressed") != model.digest:
        raise ArtifactError(
            "the evaluation is of another model",
            where=str(evaluation),
            allowed=f"an evaluation of {model.digest}",
            hint="dvc repro",
        )


def read_verdict(evaluation: Path) -> dict[str, str]:
    """`verdict.json` of an evaluation: verdict and reason."""
    found: dict[str, str] = _json(evaluation, "verdict.json")
    return found


def _candidate(
    compressed: Path,
    evaluation: Path,
    model: Manifest,
    measured: Manifest,
    params: RegisterParams,
) -> Candidate:
    package, choice = read_package(compressed), read_choice(compressed)
    with (evaluation / PAYLOAD / "per_class.csv").open(encoding="utf-8", newline="") as stream:
        classes = {row["label"]: float(row["f1"]) for row in csv.DictReader(stream)}
    return Candidate(
        model=params.model.name,
        digest=model.digest,
        compressed=compressed,
        evaluation=evaluation,
        package=package,
        choice=choice,
        metrics=_json(evaluation, "metrics.json"),
        verdict=read_verdict(evaluation),
        classes=classes,
        params=_parameters(measured.history),
        lineage=model.lineage,
        code=model.code,
        example=_example(package, choice.family),
    )


def _parameters(history: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The chain's parameters as `params.yaml` has them, put together from each step's view."""
    found: dict[str, Any] = {}
    for view in history.values():
        for section, values in view.items():
            found[section] = found.get(section, {}) | values
    return found


def _example(package: Package, family: str) -> Sequence[Any]:
    """Rows that the model takes; none of the data, which may be nobody's business."""
    taken = package.families[family].input
    if isinstance(taken, NumericInput):
        return [[0.0] * len(taken.features)]
    return list(package.labels[:2])


def _json(evaluation: Path, name: str) -> Any:
    return json.loads((evaluation / PAYLOAD / name).read_text(encoding="utf-8"))
