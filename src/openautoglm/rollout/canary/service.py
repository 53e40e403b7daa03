"""A service of its own for champion and challenger: brought up, and taken down whatever happens."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil

from openautoglm.artifacts.lock import exclusive
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
from openautoglm.deploy.local.machine import gateway_port
from openautoglm.deploy.local.ports import free_pair
from openautoglm.deploy.local.waiting import wait
from openautoglm.errors import ArtifactError, BusyError, ConfigError, OpenAutoGLMError
from openautoglm.observability.progress import say
from openautoglm.rollout.canary.sides import Sides
from openautoglm.rollout.plan import started

BY = "canary"
_MOST = 40
_GUARD, _BYE = "canary-guard", "bye"
_TURN_SECONDS, _LOOK_SECONDS = 30.0, 0.1
_GUARD_SECONDS = 600.0


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
    with ExitStack() as held:
        _take_turn(folder, held)
        _take_away(folder)
        held.enter_context(_guarded(folder))
        try:
            yield
        finally:
            _take_away(folder)


def begin(folder: ServiceFolder, sides: Sides, settings: RolloutSettings, *, end: float) -> str:
    """Start champion, challenger and gateway on free ports, and the rollout between them.

    Args:
        folder: Held by `own_service`.
        sides: Who serves; their models are in the store.
        settings: Of the rollout.
        end: When all of them must be ready, `monotonic` seconds.

    Returns:
        Where clients ask.

    Raises:
        DeployError: They do not become ready.
        StoreError: No port is free.
    """
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
        apply(folder, desired, deployed)
        records = read(folder.ledger)
        first = started(records, sides.challenger, settings, by=BY, data=sides.data)
        append(folder.ledger, first, after=len(records))
        return wait(folder, desired, seconds=max(1.0, end - monotonic()), say=say).url


def guard(folder: ServiceFolder) -> None:
    """Wait for the end of standard input; where nobody said good-bye, take the canary down.

    Again and again, for minutes: a busy machine or a full disk may keep it from that for a while.
    """
    if sys.stdin.read() == _BYE:
        return
    end = monotonic() + _GUARD_SECONDS
    while monotonic() < end:
        try:
            with ExitStack() as held:
                _take_turn(folder, held)
                _take_away(folder)
            _log_of(folder).unlink(missing_ok=True)
            return
        except (OpenAutoGLMError, OSError) as error:
            say(f"not taken down yet: {error}")
            sleep(1)


@contextmanager
def _guarded(folder: ServiceFolder) -> Iterator[None]:
    """Have a process that ends the service when this one is gone: their pipe ends with this one."""
    command = [interpreter(), "-m", "openautoglm", "--project", str(folder.project.root)]
    with _log_of(folder).open("wb") as log:
        process = subprocess.Popen(
            [*command, _GUARD, folder.name],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the step
        )
    try:
        yield
    finally:
        process.communicate(_BYE.encode())
        _log_of(folder).unlink(missing_ok=True)


def _log_of(folder: ServiceFolder) -> Path:
    """What the guard has to say; beside the folder, which it removes."""
    return folder.root.with_name(f"{folder.name}.guard.log")


def _take_turn(folder: ServiceFolder, held: ExitStack) -> None:
    """Hold the canary's lock, after a process that is about to end.

    Raises:
        BusyError: Another canary of this model is under way.
    """
    end = monotonic() + _TURN_SECONDS
    while True:
        try:
            held.enter_context(exclusive(folder.lock))
            return
        except BusyError as error:
            holder = re.search(r"process (\d+)", error.what)
            ending = holder is None or _is_dead(int(holder[1])) or _GUARD in error.what
            if not ending or monotonic() > end:
                raise
            sleep(_LOOK_SECONDS)


def _is_dead(pid: int) -> bool:
    """Whether a process has ended, though perhaps its parent does not know yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _take_away(folder: ServiceFolder) -> None:
    """Take the canary down, as far as there is anything of it."""
    if not folder.root.is_dir() or all(path == folder.ledger for path in folder.root.iterdir()):
        sweep(folder.project, tell=False)  # models that were put there, and nothing else
        return
    if not _is_own(folder):
        raise ConfigError(
            f"a service is called {folder.name}, which is the name of this model's canary",
            where=str(folder.root),
            hint=f"openautoglm delete {folder.name}, then deploy it with another `name`",
        )
    take_down(folder, Record(kind="delete", by=BY))
    sweep(folder.project, tell=False)  # nobody asked for them to be put there


def _is_own(folder: ServiceFolder) -> bool:
    """Whether this is a canary's, and no service that somebody has deployed under its name."""
    try:
        desired, records = read_desired(folder.desired), read(folder.ledger)
    except ArtifactError:  # whoever's it is, nobody can tell
        return False
    return not desired.settles if desired else all(record.by == BY for record in records)
