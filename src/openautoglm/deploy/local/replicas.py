"""The replicas of a service: their command lines, names and ports."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from openautoglm.artifacts.folder import write_text
from openautoglm.config.feedback import Feedback
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.local.folder import ServiceFolder, interpreter
from openautoglm.deploy.local.ports import free_pair
from openautoglm.deploy.local.unit import Unit
from openautoglm.deploy.release import Release

_KILL_SECONDS = 5.0


def settings_digest(folder: ServiceFolder, desired: Desired) -> str:
    """Names all that makes replicas of one release differ: those with another one are replaced.

    That is their settings and what they keep of answers, but also the code that was deployed and
    the place of their project: after an upgrade, which is deployed, or a move they must not run
    on as they were started.
    """
    service = desired.service
    kept = (service.serving.model_dump_json(), service.feedback.model_dump_json())
    told = (*kept, desired.code, str(folder.root))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:10]


def replica_unit(
    folder: ServiceFolder, release: Release, model: Path, desired: Desired, taken: Collection[int]
) -> Unit:
    """A replica on ports that are free now; its settings files are written.

    Args:
        folder: The service's.
        release: What it serves.
        model: The release's folder in the model store.
        desired: How.
        taken: Ports that belong to others of this service.
    """
    serving, settings = desired.service.serving, settings_digest(folder, desired)
    file = folder.settings / f"{settings}.json"
    if not file.is_file():
        write_text(file, serving.model_dump_json(indent=2) + "\n")
    feedback = folder.settings / f"{settings}-feedback.json"
    if not feedback.is_file():
        told = with_store(folder, desired.service.feedback).model_dump_json(indent=2)
        write_text(feedback, told + "\n", secret=True)  # its URL may hold a password
    port, grpc_port = free_pair(taken, seed=str(folder.root))
    command = (
        *(interpreter(), "-m", "openautoglm", "serve", "--model", str(model)),
        *("--digest", release.digest, "--name", release.name, "--version", release.version),
        *("--family", release.family, "--variant", release.variant),
        *("--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(grpc_port)),
        *("--settings", str(file), "--feedback", str(feedback)),
    )
    return Unit(
        name=f"replica-{release.key}-{settings}-{port}",
        kind="replica",
        command=command,
        stop_seconds=serving.drain_seconds + _KILL_SECONDS,
        release=release.key,
        settings=settings,
        port=port,
        grpc_port=grpc_port,
    )


def with_store(folder: ServiceFolder, feedback: Feedback) -> Feedback:
    """The settings with a URL: the service's own file, where they name no other store."""
    if feedback.url is not None or not feedback.enabled:
        return feedback
    return feedback.model_copy(update={"url": f"sqlite:///{folder.feedback}"})
