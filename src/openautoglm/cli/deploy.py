"""`openautoglm deploy`: plan, write down, bring up, wait."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from openautoglm.artifacts.lock import exclusive
from openautoglm.cli.services import decided_by
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.config.yaml import load
from openautoglm.deploy.desired import Desired, read_desired
from openautoglm.deploy.ledger import Record, last, named_digests
from openautoglm.deploy.local.apply import apply, check_machine, look, wait
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.scale import live_replicas
from openautoglm.deploy.local.status import Status
from openautoglm.deploy.plan import Plan, plan
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.resolve import Resolved, resolve
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say


def deploy(project: Project, file: Path, *, plan_only: bool, seconds: float) -> None:
    """Make what a file says so.

    Args:
        project: Whose registry, model store and services.
        file: `config.yaml`.
        plan_only: Only print what would be done.
        seconds: How long to wait until it is healthy.

    Raises:
        InputError: The file, the model or the machine does not allow it; nothing was changed.
        DeployError: It does not become healthy.
    """
    start = perf_counter()
    service = load(file, Service)
    resolved = resolve(project, service, file)
    folder = ServiceFolder(project, resolved.service)
    if plan_only:
        print("\n".join(_plan(folder, resolved, service)[0].lines()))
        return
    with exclusive(folder.lock):
        found, desired, record = _plan(folder, resolved, service)
        if found.unchanged:
            status = look(folder)
            if status and status.healthy and status.generation == desired.generation:
                print(f"nothing to change: {_answers(resolved, status)}")
                return
            say("nothing to change, but not all is healthy yet")
        else:
            print("\n".join(found.lines()), flush=True)
            _apply(folder, resolved, desired, record)
        status = wait(folder, desired, seconds=seconds, say=say)
        _tidy(project)
    print(f"{_answers(resolved, status)}, after {perf_counter() - start:.1f} s")
    _next(resolved, status)


def _plan(
    folder: ServiceFolder, resolved: Resolved, service: Service
) -> tuple[Plan, Desired, Record | None]:
    """What would change, what is to be wanted, and the decision if there is one to take."""
    try:
        old = read_desired(folder.desired)
    except ArtifactError as error:
        say(f"{error.what} ({error.where}): it is written anew")
        old = None
    before = last(folder.ledger)
    generation = (old.generation + 1) if old else 1
    desired = Desired(generation=generation, name=folder.name, service=service)
    found = plan(old, before, desired, resolved.release, live_replicas=live_replicas(folder))
    if found.unchanged and old:
        return found, old, None
    return found, desired, _decision(before, found.champion)


def _decision(before: Record | None, champion: Release) -> Record | None:
    """The champion's new release; who carries how much stays as it is."""
    if before is None:
        releases: dict[Role, Release] = {"champion": champion}
        return Record(kind="deploy", by=decided_by(), releases=releases, weights={"champion": 100})
    if before.releases["champion"] == champion:
        return None
    releases = {**before.releases, "champion": champion}
    return Record(
        kind="deploy",
        by=decided_by(),
        releases=releases,
        weights=before.weights,
        shadow=before.shadow,
    )


def _apply(
    folder: ServiceFolder, resolved: Resolved, desired: Desired, record: Record | None
) -> None:
    check_machine(folder, desired.service.gateway)
    models = ModelStore(folder.project)
    with models.reserved():
        resolved.place(models)
        apply(folder, desired, record)


def _tidy(project: Project) -> None:
    for digest in ModelStore(project).sweep(lambda: named_digests(project)):
        say(f"{digest[:19]} is served by nobody: removed from the model store")


def _answers(resolved: Resolved, status: Status) -> str:
    release = resolved.release
    return (
        f"{resolved.service} version {release.version} ({release.family} {release.variant}) "
        f"answers at {status.url}"
    )


def _next(resolved: Resolved, status: Status) -> None:
    host = status.url.removeprefix("http://")
    if resolved.input == "text":
        print(f"""  curl -s {host}/v1/predict -d '{{"text": "{resolved.labels[0]}"}}'""")
    print("  openautoglm status | logs | delete")
