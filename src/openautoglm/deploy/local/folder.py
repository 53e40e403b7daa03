"""Where one service of this machine keeps its files."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from openautoglm.config.project import Project
from openautoglm.errors import StoreError


@dataclass(frozen=True)
class ServiceFolder:
    """`.openautoglm/services/NAME` of a project.

    Attributes:
        project: Whose.
        name: The service's name.
    """

    project: Project
    name: str

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.project.state / "services" / self.name

    @property
    def lock(self) -> Path:
        """Held by deploy, weights and delete; beside the folder, because delete empties that."""
        return self.root.with_name(f"{self.name}.lock")

    @property
    def turn(self) -> Path:
        """Held by whoever starts or ends processes; beside the folder for the same reason."""
        return self.root.with_name(f"{self.name}.turn")

    @property
    def origin(self) -> Path:
        """The path that the folder had when its units were made."""
        return self.root / "origin"

    @property
    def desired(self) -> Path:
        """What the last deploy wants; the controller makes it so."""
        return self.root / "service.json"

    @property
    def status(self) -> Path:
        """What the controller sees and does."""
        return self.root / "status.json"

    @property
    def ledger(self) -> Path:
        """Every decision about traffic, a line each."""
        return self.root / "ledger.jsonl"

    @property
    def scale(self) -> Path:
        """How many replicas the autoscaler has come to."""
        return self.root / "scale.json"

    @property
    def units(self) -> Path:
        """The processes that the supervisor keeps alive."""
        return self.root / "units.json"

    @property
    def supervisor_conf(self) -> Path:
        """The same as supervisord reads it."""
        return self.root / "supervisord.conf"

    @property
    def running(self) -> Path:
        """One lock a process, held as long as it lives."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.root / "logs"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor."""
        return self.lock_of("supervisor")

    def lock_of(self, unit: str) -> Path:
        """Held by a unit's process."""
        return self.running / f"{unit}.lock"

    def log_of(self, unit: str) -> Path:
        """What a unit's process writes."""
        return self.logs / f"{unit}.log"

    @property
    def envoy(self) -> Path:
        """The gateway's configuration, watched by it."""
        return self.root / "envoy"

    @property
    def settings(self) -> Path:
        """Settings files of replicas, named by their contents."""
        return self.root / "settings"

    @property
    def feedback(self) -> Path:
        """Answers and labels, where `config.yaml` names no other store."""
        return self.root / "feedback.db"

    @property
    def sockets(self) -> Path:
        """Unix sockets; elsewhere, because their paths may have 107 bytes at most."""
        return sockets_of(self.root)

    def make(self) -> None:
        """Make the folders, the sockets' one for this user only.

        Raises:
            StoreError: Somebody else has the sockets' folder.
        """
        for folder in (self.root, self.running, self.logs, self.envoy, self.settings):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.sockets.parent, self.sockets):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
                sudo = "sudo " if found.st_uid != os.getuid() else ""
                raise StoreError(
                    "the folder for sockets is not this user's alone",
                    where=str(folder),
                    hint=f"{sudo}rm -r {folder}",
                )


def sockets_of(root: Path) -> Path:
    """Where a service that lives at `root` has its sockets."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return Path("/tmp") / f"openautoglm-{os.getuid()}" / name  # noqa: S108


def interpreter() -> str:
    """The Python that services run with: one path, however the command was started."""
    python = Path(sys.prefix).resolve() / "bin" / "python"
    # Of a system's Python, that name may be another one's.
    return str(python) if python.exists() and python.samefile(sys.executable) else sys.executable
