"""The replicas of a service: their command lines, and whether they take requests."""

from __future__ import annotations

import hashlib
import http.client
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from openautoglm import __version__
from openautoglm.artifacts.folder import write_text
from openautoglm.config.serving import Serving
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.ports import free_pair
from openautoglm.deploy.local.unit import Unit
from openautoglm.deploy.release import Release

_ANSWER_SECONDS = 1.0
_HUNG_SECONDS = 10.0
_KILL_SECONDS = 5.0


def settings_digest(folder: ServiceFolder, serving: Serving) -> str:
    """Names all that makes replicas of one release differ: those with another one are replaced.

    That is their settings, but also the code they run and the place of their project: after an
    upgrade or a move they must not run on as they were started.
    """
    told = (serving.model_dump_json(), __version__, sys.executable, str(folder.root))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:10]


def replica_unit(
    folder: ServiceFolder, release: Release, model: Path, serving: Serving, taken: Collection[int]
) -> Unit:
    """A replica on ports that are free now; its settings file is written.

    Args:
        folder: The service's.
        release: What it serves.
        model: The release's folder in the model store.
        serving: How.
        taken: Ports that belong to others of this service.
    """
    settings = settings_digest(folder, serving)
    file = folder.settings / f"{settings}.json"
    if not file.is_file():
        write_text(file, serving.model_dump_json(indent=2) + "\n")
    port, grpc_port = free_pair(taken, seed=str(folder.root))
    command = (
        *(sys.executable, "-m", "openautoglm", "serve", "--model", str(model)),
        *("--digest", release.digest, "--name", release.name, "--version", release.version),
        *("--family", release.family, "--variant", release.variant),
        *("--host", "127.0.0.1", "--port", str(port), "--grpc-port", str(grpc_port)),
        *("--settings", str(file)),
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


class Health:
    """Which replicas are ready, asked over HTTP, all at a time.

    An answer counts only with the digest that the replica is to serve: after a crash, some other
    program may have its port.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="health")
        self._silent_since: dict[str, float] = {}
        self._started: set[str] = set()

    def look(self, units: Sequence[Unit], digests: Mapping[str, str]) -> set[str]:
        """Names of the units that are ready.

        Args:
            units: Replicas.
            digests: Digest by release key; a release that is not here is asked for none.
        """
        found = self._pool.map(lambda unit: _ask(unit, digests.get(unit.release)), units)
        ready, now = set(), monotonic()
        for unit, answer in zip(units, found, strict=True):
            if answer is None:
                self._silent_since.setdefault(unit.name, now)
                continue
            self._silent_since.pop(unit.name, None)
            if answer:
                ready.add(unit.name)
                self._started.add(unit.name)
        return ready

    def started(self, unit: str) -> bool:
        """Whether a unit was ready once."""
        return unit in self._started

    def hung(self, unit: str) -> bool:
        """Whether a unit that was ready once has not answered at all for ten seconds."""
        since = self._silent_since.get(unit)
        return unit in self._started and since is not None and monotonic() - since > _HUNG_SECONDS

    def restarted(self, unit: str) -> None:
        """Begin anew with a unit."""
        self._silent_since.pop(unit, None)
        self._started.discard(unit)

    def forget(self, units: Iterable[str]) -> None:
        """Keep nothing of units that are not among these."""
        kept = set(units)
        self._started &= kept
        self._silent_since = {u: at for u, at in self._silent_since.items() if u in kept}


def _ask(unit: Unit, digest: str | None) -> bool | None:
    """Whether a replica is ready; None when it does not answer, or somebody else does."""
    connection = http.client.HTTPConnection(unit.host, unit.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        answer = connection.getresponse()
        answer.read()
        if digest is not None and answer.getheader("x-model-digest") != digest:
            return None
        return answer.status == 200
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
