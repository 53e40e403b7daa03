"""A service of its own for champion and challenger: brought up, and taken down whatever happens."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from openautoglm.artifacts.lock import exclusive, in_turn
from openautoglm.config.feedback import Feedback, Requests
from openautoglm.config.gateway import Gateway
from openautoglm.config.project import Project
from openautoglm.config.rollout import RolloutSettings
from openautoglm.config.service import Service
from openautoglm.config.serving import Serving
from openautoglm.deploy.desired import Desired, read_desired, this_code
from openautoglm.deploy.ledger import Record, append, read
from openautoglm.deploy.local.apply import apply, take_down
from openautoglm.deploy.local.folder import ServiceFolder, interpreter
from openautoglm.deploy.local.known import sweep
from openautoglm.deploy.local.machine import check_platform, gateway_port
from openautoglm.deploy.local.ports import free_pair
from openautoglm.deploy.local.waiting import wait
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.observability.progress import say
from openautoglm.rollout.canary.sides import Sides
from openautoglm.rollout.plan import started

BY = "canary"
_MOST = 40


def folder_of(project: Project, model: str) -> ServiceFolder:
    """Where the canary of a registered model lives: the service `canary-MODEL`."""
    name = f"canary-{model}"
    if len(name) > _MOST:
        name = f"{name[: _MOST - 9].rstrip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    return ServiceFolder(project, name)


@contextmanager
def own_service(folder: ServiceFolder) -> Iterator[None]:
    """Hold a canary's folder, empty at first; at the end nothing of it runs, only its ledger stays.

    That holds when this process is killed, too: another one waits for its end.

    Raises:
        BusyError: Another canary of this model is under way.
        ConfigError: Somebody has deployed a service of this name.
    """
    with _guarded(folder), exclusive(folder.lock):
        _take_away(folder)
        try:
            yield
        finally:
            _take_away(folder)


def begin(folder: ServiceFolder, sides: Sides, settings: RolloutSettings, *, seconds: float) -> str:
    """Start champion, challenger and gateway on free ports, and the rollout between them.

    Args:
        folder: Held by `own_service`.
        sides: Who serves.
        settings: Of the rollout.
        seconds: How long to wait until all of them are ready.

    Returns:
        Where clients ask.

    Raises:
        DeployError: They do not become ready.
        ArtifactError: A model is damaged.
        StoreError: The registry's storage does not give a model, or no port is free.
    """
    check_platform()
    port, _ = free_pair((), seed=f"{folder.root} gateway")
    gateway = Gateway(port=port, processes=1)
    service = Service(
        name=folder.name,
        model=sides.champion.origin,
        replicas=1,
        # A row that is sent again must cost what it cost the first time.
        serving=Serving(cache_entries=0),
        rollout=settings,
        gateway=gateway,
        feedback=Feedback(requests=Requests(sample=0)),
    )
    desired = Desired(
        generation=1, name=folder.name, code=this_code(), service=service, settles=False
    )
    deployed = Record(
        kind="deploy",
        by=BY,
        releases={"champion": sides.champion},
        weights={"champion": 100},
    )
    with gateway_port(folder, gateway, str(folder.root)):
        with sides.placed(ModelStore(folder.project)):
            apply(folder, desired, deployed)
            records = read(folder.ledger)
            first = started(records, sides.challenger, settings, by=BY, data=sides.data)
            append(folder.ledger, first, after=len(records))
        return wait(folder, desired, seconds=seconds, say=say).url


def guard(folder: ServiceFolder) -> None:
    """Wait for the end of standard input, then take the canary down unless that is done."""
    sys.stdin.read()
    with in_turn(folder.lock):
        _take_away(folder)


@contextmanager
def _guarded(folder: ServiceFolder) -> Iterator[None]:
    """Have a process that ends the service when this one is gone: their pipe ends with this one."""
    command = [interpreter(), "-m", "openautoglm", "--project", str(folder.project.root)]
    process = subprocess.Popen(
        [*command, "canary-guard", folder.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the step
    )
    try:
        yield
    finally:
        process.communicate()


def _take_away(folder: ServiceFolder) -> None:
    """Take the canary down, as far as there is anything of it."""
    if not folder.root.is_dir() or all(path == folder.ledger for path in folder.root.iterdir()):
        return
    desired = None
    with suppress(ArtifactError):
        desired = read_desired(folder.desired)
    if desired and desired.settles:
        raise ConfigError(
            f"a service is called {folder.name}, which is the name of this model's canary",
            where=str(folder.root),
            hint=f"openautoglm delete {folder.name}, then deploy it with another `name`",
        )
    take_down(folder, Record(kind="delete", by=BY))
    sweep(folder.project, tell=False)  # nobody asked for them to be put there
