"""A project with registered models, deployed through the command line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from openautoglm.config.project import Project
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.keep import holder
from openautoglm.deploy.local.status import Status, read_status
from tests.support.command import command
from tests.support.once import empty_stores
from tests.support.ports import free_port
from tests.support.project import BIN
from tests.support.registry import Chain

ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_EXP"))},
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
}


@dataclass
class Site:
    """A project that has the service `small`.

    Attributes:
        root: The project's folder.
        port: Of the gateway, in the configuration that `write` makes.
        config: What `write` wrote last.
    """

    root: Path
    port: int = field(default_factory=free_port)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> ServiceFolder:
        """Of the service."""
        return ServiceFolder(Project(self.root.resolve()), "small")

    @property
    def url(self) -> str:
        """Where clients ask."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, **changes: Any) -> Path:
        """`config.yaml`: the last one with changes; None removes a key."""
        gateway = {**self.config.get("gateway", {}), "port": self.port}
        gateway |= changes.pop("gateway", {})
        found = {"model": "models:/small@champion", **self.config, **changes, "gateway": gateway}
        self.config = {key: value for key, value in found.items() if value is not None}
        with (self.root / "config.yaml").open("w", encoding="utf-8") as stream:
            YAML().dump(self.config, stream)
        return self.root / "config.yaml"

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints, first on standard error, having ended with this code."""
        said = command(self.root, *arguments, code=code)
        return said.stderr + said.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on by itself."""
        return subprocess.Popen(
            [BIN / "openautoglm", *arguments],
            cwd=self.root,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def deploy(self, **changes: Any) -> str:
        """What `deploy` prints for the last configuration with changes."""
        self.write(**changes)
        return self.run("deploy")

    def status(self) -> Status:
        """What the controller told last."""
        found = read_status(self.folder.status)
        assert found is not None
        return found

    def pids(self, kind: str = "") -> dict[str, int]:
        """Live processes by unit, those whose names begin with `kind`."""
        found = {}
        for lock in sorted(self.folder.running.glob(f"{kind}*.lock")):
            pid = holder(lock)
            if pid is not None:
                found[lock.stem] = pid
        return found


@contextmanager
def site(root: Path, *seeds: int) -> Iterator[Site]:
    """A project with a registered version for each seed; the first is the champion."""
    if seeds:
        empty_stores.put(root)
    for seed in seeds:
        Chain(root).make(seed).register()
    if not seeds:
        Chain(root)
    found = Site(root)
    try:
        yield found
    finally:
        if found.folder.desired.is_file():
            found.run("delete", "small")
        for pid in found.pids().values():
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()


def processes(root: Path) -> list[str]:
    """Command lines of live processes that name a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(root) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"{process.pid} {line}")
    return found


def listening() -> set[int]:
    """Ports that somebody on this machine listens on."""
    return {
        one.laddr.port
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr
    }


def parsed(text: str) -> Any:
    """JSON in what a command printed."""
    return json.loads(text[text.index("{") :])
