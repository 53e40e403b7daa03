"""`openautoglm deploy`: plan, write down, bring up, wait."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from openautoglm.artifacts.lock import exclusive
from openautoglm.cli.services import decided_by
from openautoglm.cli.settle import follow
from openautoglm.config.project import Project
from openautoglm.config.service import Service, key_line
from openautoglm.config.yaml import load
from openautoglm.deploy.desired import Desired, read_desired, this_code
from openautoglm.deploy.ledger import Record, last, now, read
from openautoglm.deploy.local.apply import apply
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.known import sweep
from openautoglm.deploy.local.machine import check_platform, gateway_port
from openautoglm.deploy.local.scale import live_replicas
from openautoglm.deploy.local.status import Status, read_status
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.waiting import fresh, look_after, wait
from openautoglm.deploy.plan import Plan, plan
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.resolve import Resolved, resolve, resolve_alias
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say, working_on
from openautoglm.rollout.plan import check_objective
from openautoglm.serving.observe.metrics import LATENCY_EDGES


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
    working_on("deploy")
    check_platform()
    service = load(file, Service)
    check_objective(service.rollout.metrics, LATENCY_EDGES)
    resolved = resolve(project, service, file)
    folder = ServiceFolder(project, resolved.service)
    if plan_only:
        print("\n".join(_planned(folder, resolved, service).plan.lines()))
        return
    with _alone(folder):
        decided = len(read(folder.ledger))
        if _replaces(folder, resolved.release):
            # Perhaps by what a rollout has just replaced: the alias first, then look again.
            follow(folder)
            resolved = resolve(project, service, file)
        planned = _planned(folder, resolved, service)
        copied = Supervisor(folder).foreign()
        if planned.plan.unchanged and not copied and _healthy(folder, planned.desired):
            print(f"nothing to change: {_answers(planned, folder)}")
            return
        print("\n".join(planned.plan.lines()), flush=True)
        if planned.plan.unchanged:
            say("a copy, which does not run yet" if copied else "not all is healthy yet")
        with gateway_port(folder, service.gateway, key_line(file, "gateway.port")):
            try:
                _apply(folder, resolved, planned, file, after=decided)
                status = wait(folder, planned.desired, seconds=seconds, say=say)
            except KeyboardInterrupt:
                if read_desired(folder.desired) == planned.desired:  # it was decided
                    say("nobody waits any more, but it goes on: openautoglm status, or delete")
                raise
    sweep(project)
    print(f"{_answers(planned, folder)}, healthy after {perf_counter() - start:.1f} s")
    _next(resolved, status)


@dataclass(frozen=True)
class _Planned:
    """What would change, what is to be wanted, and the decision if there is one to take."""

    plan: Plan
    desired: Desired
    before: Record | None
    decision: Record | None


@contextmanager
def _alone(folder: ServiceFolder) -> Iterator[None]:
    """Hold the service's lock; a service that did not come to be leaves none behind."""
    with exclusive(folder.lock):
        try:
            yield
        finally:
            if not folder.root.exists():
                folder.lock.unlink(missing_ok=True)


def _planned(folder: ServiceFolder, resolved: Resolved, service: Service) -> _Planned:
    try:
        old = read_desired(folder.desired)
    except ArtifactError as error:
        say(f"{error.what} ({error.where}): it is written anew")
        old = None
    before, status = last(folder.ledger), read_status(folder.status)
    # Above whatever a controller has told of, so that no old status passes for a new one.
    reached = max(old.generation if old else 0, status.generation if status else 0)
    desired = Desired(generation=reached + 1, name=folder.name, code=this_code(), service=service)
    found = plan(old, before, desired, resolved.release, live_replicas=live_replicas(folder))
    if found.unchanged and old:
        return _Planned(found, old, before, None)
    return _Planned(found, desired, before, _decision(before, found.champion))


def _decision(before: Record | None, champion: Release) -> Record | None:
    """The champion's new release; who carries how much stays as it is."""
    if before is None:
        releases: dict[Role, Release] = {"champion": champion}
        return Record(kind="deploy", by=decided_by(), releases=releases, weights={"champion": 100})
    if before.releases["champion"].key == champion.key:
        return None
    changed = {
        "time": now(),
        "kind": "deploy",
        "by": decided_by(),
        "releases": {**before.releases, "champion": champion},
        "note": "",
        "rollout": None,
        "request": None,
    }
    return before.model_copy(update=changed)


def _healthy(folder: ServiceFolder, desired: Desired) -> bool:
    """Whether all that is wanted is in force; somebody looks after it from now on in any case."""
    look_after(folder, code=desired.code)
    status = fresh(folder)
    return bool(status and status.healthy and status.generation == desired.generation)


def _replaces(folder: ServiceFolder, release: Release) -> bool:
    """Whether a release is another one than what serves."""
    record = last(folder.ledger)
    return record is not None and record.releases["champion"].key != release.key


def _apply(
    folder: ServiceFolder, resolved: Resolved, planned: _Planned, file: Path, *, after: int
) -> None:
    models = ModelStore(folder.project)
    record = planned.decision or planned.before
    assert record is not None
    with models.reserved():
        for role, release in record.releases.items():
            if release.key == resolved.release.key:
                resolved.place(models)
            elif not models.has(release.digest):
                champion = record.releases["champion"]
                service = planned.desired.service
                say(f"the {role}'s model is not in the model store: fetching it again")
                resolve_alias(folder.project, service, champion, release.version, file).place(
                    models
                )
        apply(folder, planned.desired, planned.decision, after=after)


def _answers(planned: _Planned, folder: ServiceFolder) -> str:
    release, gateway = planned.plan.champion, planned.desired.service.gateway
    status = read_status(folder.status)
    url = status.url if status else f"{gateway.host}:{gateway.port}"
    return (
        f"{folder.name} version {release.version} ({release.family} {release.variant}) "
        f"answers at {url}"
    )


def _next(resolved: Resolved, status: Status) -> None:
    example = {"text": resolved.labels[0]} if resolved.input == "text" else None
    if example:
        body = shlex.quote(json.dumps(example, ensure_ascii=False))
        print(f"  curl -s {status.url.removeprefix('http://')}/v1/predict -d {body}")
        print(f"  openautoglm predict --url {status.url} {shlex.quote(example['text'])}")
    else:
        print(f"  curl -s {status.url.removeprefix('http://')}/v2/models")
    print("  openautoglm status | logs | delete")
