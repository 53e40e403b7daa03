"""Register a model: once a digest, and a version only for what was downloaded and checked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from openautoglm.artifacts.digest import value_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import RegisterSettings
from openautoglm.errors import InputError, StoreError
from openautoglm.inference.package import Choice, Package
from openautoglm.observability.progress import say
from openautoglm.registry.card import card
from openautoglm.registry.comparison import (
    compare_predictions,
    figures,
    verdict,
)
from openautoglm.registry.packed import packed_digest
from openautoglm.registry.packing import pack
from openautoglm.registry.predictions import predictions_of, read_predictions
from openautoglm.registry.store import Store, answering
from openautoglm.registry.tracker import MlflowTracker, Run, flatten
from openautoglm.registry.versions import (
    AGAINST,
    CHAMPION,
    DIGEST,
    PACKED,
    aliases,
    by_name,
    defect,
    differs,
    download,
    find,
    settle,
    upload,
)


@dataclass(frozen=True)
class Candidate:
    """A model that passed its gate.

    Attributes:
        model: Registered name.
        digest: Of the compressed model's payload.
        compressed: The compressed model.
        evaluation: Its evaluation.
        package: What the model holds.
        choice: Which part of it is used.
        metrics: `metrics.json`.
        verdict: `verdict.json`.
        classes: Class name to F1 on test.
        params: Parameters of the chain, as far as they are known.
        lineage: Step name to payload digest.
        code: Digest of the code that made the model.
        example: Some rows that the model takes.
    """

    model: str
    digest: str
    compressed: Path
    evaluation: Path
    package: Package
    choice: Choice
    metrics: Mapping[str, Any]
    verdict: Mapping[str, str]
    classes: Mapping[str, float]
    params: Mapping[str, Any]
    lineage: Mapping[str, str]
    code: str
    example: Sequence[Any]


def register_model(
    store: Store, candidate: Candidate, settings: RegisterSettings, work: Path
) -> ModelVersion:
    """The registered version of a candidate: made, finished after a kill, mended, or as it was.

    Args:
        store: An open store; the caller holds the project's lock.
        candidate: The model.
        settings: Of the comparison with the champion.
        work: A folder of this call's own; what an earlier one left in it is removed.

    Raises:
        StoreError: The store does not answer, or does not give back what was uploaded.
    """
    name = candidate.model
    found = find(store, name, candidate.digest)
    wrong = defect(store, found) if found else None
    if found and wrong is None:
        say(f"{name} version {found.version} has this digest already: nothing to do")
        return found
    if found:
        say(f"{name} version {found.version}: {wrong}; mending it")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with MlflowTracker(store).run(
            f"register {name}", key=candidate.digest, tags=_tags(candidate)
        ) as run:
            _log(run, candidate)
            _compare(store, run, candidate, settings)
            version = _upload(store, run, candidate, found, work)
            run.rename(f"{name} version {version.version}")
        settle(store, name, version)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    done: ModelVersion = store.client.get_model_version(name, str(version.version))
    say(f"{name} version {done.version}: {', '.join(done.aliases) or 'no alias'}")
    return done


def _tags(candidate: Candidate) -> dict[str, str]:
    digests = {
        f"digest.{step}": digest for step, digest in candidate.lineage.items() if step != "compress"
    }
    return digests | {
        DIGEST: candidate.digest,
        "digest.data": candidate.lineage.get("prepare", "unknown"),
        "digest.params": value_digest(dict(candidate.params)),
        "digest.code": candidate.code,
        "model.base": candidate.package.base or "none",
        "model.family": candidate.choice.family,
        "model.variant": candidate.choice.variant,
        "verdict": candidate.verdict["verdict"],
    }


def _log(run: Run, candidate: Candidate) -> None:
    """Parameters and metrics under the same names for every version."""
    family = candidate.package.families[candidate.choice.family]
    run.params(
        {**candidate.params, "served": family.settings} if family.settings else candidate.params
    )
    # What is logged first is what MLflow's compare page draws first.
    own = dict(candidate.metrics["candidate"])
    flat = {"macro_f1": own["macro_f1"]} | flatten(own)
    flat |= flatten({key: value for key, value in candidate.metrics.items() if key != "candidate"})
    variant = family.variants[candidate.choice.variant]
    run.metrics(
        {key: value for key, value in flat.items() if isinstance(value, int | float)}
        | {f"f1/{label}": value for label, value in candidate.classes.items()}
        | {"model_bytes": variant.bytes, "operations": family.operations}
        | {"agreement": variant.agreement}
    )


def _compare(store: Store, run: Run, candidate: Candidate, settings: RegisterSettings) -> None:
    champion = aliases(store, candidate.model).get(CHAMPION)
    if champion is None:
        return
    other = by_name(store, candidate.model, champion)
    if other.tags.get(DIGEST) == candidate.digest:
        return
    mine = read_predictions(candidate.evaluation / PAYLOAD / "predictions.parquet")
    try:
        theirs = predictions_of(store, other)
    except InputError as error:
        say(f"no comparison with the champion: {error.what}")
        return
    found = compare_predictions(
        mine,
        theirs,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    if found is None:
        told = f"too few rows shared with the champion (version {champion}) to compare"
    else:
        words = ("this model", f"the champion (version {champion})")
        told = verdict(found, *words, settings.confidence)
        run.metrics({f"{AGAINST}.{key}": value for key, value in figures(found).items()})
    say(told)
    run.note(told)
    with answering(store.uri):
        store.client.set_tag(run.id, AGAINST, told)


def _upload(
    store: Store, run: Run, candidate: Candidate, found: ModelVersion | None, work: Path
) -> ModelVersion:
    """Upload, download, check; only then the version, with all its tags in one step."""
    client, name = store.client, candidate.model
    text = card(
        name,
        digest=candidate.digest,
        package=candidate.package,
        choice=candidate.choice,
        metrics=candidate.metrics,
        verdict=candidate.verdict,
        lineage=candidate.lineage,
    )
    packed = work / "packed"
    (work / "parts").mkdir()
    pack(
        packed,
        compressed=candidate.compressed,
        evaluation=candidate.evaluation,
        example=candidate.example,
        card=text,
        work=work / "parts",
    )
    tags = _tags(candidate) | {PACKED: packed_digest(packed)}
    with answering(store.uri):
        source = found.source if found else f"{client.get_run(run.id).info.artifact_uri}/model"
    upload(store, source, packed)
    (work / "back").mkdir()
    wrong = differs(download(store, source, work / "back"), tags)
    if wrong:
        raise StoreError(
            f"the model came back changed from the store: {wrong}; nothing was registered",
            where=source,
            hint="check the artifact storage, then the same command again",
        )
    with answering(store.uri):
        if found:
            for key, value in tags.items():
                client.set_model_version_tag(name, str(found.version), key, value)
            return found
        _ensure_model(store, candidate)
        version: ModelVersion = client.create_model_version(
            name, source, run.id, tags=tags, description=text
        )
        return version


def _ensure_model(store: Store, candidate: Candidate) -> None:
    try:
        store.client.create_registered_model(
            candidate.model, description=f"{len(candidate.package.labels)} classes; open-autoglm"
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
