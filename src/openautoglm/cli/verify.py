"""`openautoglm verify`: are the receipts of effects still true? Where not, the effect again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.cli.tidy import tidy
from openautoglm.config.params import Params
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say, working_on
from openautoglm.registry.store import Store, open_store
from openautoglm.registry.tried import ModelVersion
from openautoglm.registry.versions import aliases, defect, find, told_of_champion
from openautoglm.steps.caller import run_step
from openautoglm.steps.canary import is_told_by
from openautoglm.steps.catalog import STEPS, Step
from openautoglm.steps.effect import SKIPPED, R, Receipt, Registration, read_receipt
from openautoglm.steps.register import read_verdict, refuse_other


@dataclass(frozen=True)
class Facts:
    """What the registry holds of this project's model.

    Attributes:
        model: Registered name.
        receipt: What register did.
        canary: What came of the model beside the champion; None when nobody can say, because the
            data is not here.
        mended: What was not true any more, one sentence each; it is true again.
        version: Number of this model's version; None when it is not registered.
        aliases: Alias to version number, of all versions of the model.
        against: The comparison with the champion of that time, in words.
    """

    model: str
    receipt: Registration
    canary: Receipt | None
    mended: tuple[str, ...]
    version: str | None
    aliases: Mapping[str, str]
    against: str | None


def verify(project: Project) -> Facts:
    """Check receipts against model, evaluation and registry; repeat effects where needed.

    Raises:
        ArtifactError: The chain has not run, or not to its end.
        BusyError: Another process is registering, or tries a model beside the champion.
        DeployError: A canary is repeated, and its processes do not become ready.
        StoreError: The registry does not answer.
    """
    # DVC may bring back the output of a killed step without running the step again.
    tidy(project)
    working_on("verify")
    step, name = STEPS["register"], load(project.params_file, Params).model.name
    folders = _folders(project, step)
    missing = [place for key, place in step.inputs.items() if not folders[key].is_dir()]
    if missing:
        raise ArtifactError(
            f"the chain has not run to its end: no {' and no '.join(missing)}",
            where=str(project.root),
            hint="dvc repro (or: dvc pull)",
        )
    model = read_manifest(folders["compressed"])
    refuse_other(model, read_manifest(folders["evaluation"]), folders["evaluation"])
    out = project.root / step.out
    store = open_store(project)
    verdict = read_verdict(folders["evaluation"])["verdict"]
    mended = []
    if wrong := _wrong(_read(out, Registration), model.digest, verdict, store, name):
        say(f"{wrong}: registering again")
        run_step(project, step, folders, out)
        working_on("verify")
        mended.append(f"{wrong}; register has run again")
    receipt = read_receipt(out, Registration)
    found = find(store, name, model.digest) if receipt.registered else None
    canary = _canary(project, receipt, found, mended)
    return Facts(
        model=name,
        receipt=receipt,
        canary=canary,
        mended=tuple(mended),
        version=str(found.version) if found else None,
        aliases=aliases(store, name),
        against=told_of_champion(store, found) if found else None,
    )


def _canary(
    project: Project,
    registration: Registration,
    version: ModelVersion | None,
    mended: list[str],
) -> Receipt | None:
    """The canary's receipt, after another one where it was not true.

    None where it cannot be repeated, because the data was not pulled.
    """
    step = STEPS["canary"]
    folders, out = _folders(project, step), project.root / step.out
    if wrong := _wrong_canary(_read(out, Receipt), registration, version):
        if not all(folder.is_dir() for folder in folders.values()):
            return None
        say(f"{wrong}: the canary again")
        run_step(project, step, folders, out)
        working_on("verify")
        mended.append(f"{wrong}; canary has run again")
    return read_receipt(out, Receipt)


def _folders(project: Project, step: Step) -> dict[str, Path]:
    return {key: project.root / place for key, place in step.inputs.items()}


def _read(folder: Path, kind: type[R]) -> R | None:
    try:
        return read_receipt(folder, kind)
    except ArtifactError:
        return None


def _wrong_canary(
    receipt: Receipt | None, registration: Registration, version: ModelVersion | None
) -> str | None:
    """What is not as the canary's receipt says; None when all is.

    Who is the champion now may have been decided later: that it was tried, its version tells.
    """
    if receipt is None:
        return "the model was not tried beside the champion"
    if receipt.model_digest != registration.model_digest:
        return "the canary's receipt was of another model"
    if version is None:
        told = not registration.registered and receipt.verdict != "skipped"
        return "the canary's receipt was of a registered model" if told else None
    return None if is_told_by(receipt, version) else "the registry does not know of this canary"


def _wrong(
    receipt: Registration | None, digest: str, verdict: str, store: Store, name: str
) -> str | None:
    """What is not as the receipt says; None when all is."""
    if receipt is None:
        return "there was no receipt"
    if receipt.model_digest != digest:
        return "the receipt was of another model"
    if receipt.reason == SKIPPED:
        return "the model came from an experiment, where nothing is registered"
    if receipt.verdict != verdict:
        return "the receipt was of another evaluation"
    if not receipt.registered:
        return None
    found = find(store, name, digest)
    if found is None:
        return "the registry did not hold the model"
    problem = defect(store, found)
    return f"version {found.version} was damaged ({problem})" if problem else None
