"""Real gateways on one port, and a router for them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

from openautoglm.config.gateway import Gateway
from openautoglm.errors import RouterError
from openautoglm.routing.envoy import admin, bootstrap
from openautoglm.routing.envoy.router import EnvoyRouter
from openautoglm.routing.routes import Routes
from tests.support.backends import Answer, ask
from tests.support.ports import free_port
from tests.support.wait import PATIENCE, until

IDLE = 75.0


class Gateways:
    """Envoys that read one folder.

    Attributes:
        folder: What they watch.
        settings: Of the gateway.
        admins: Their admin sockets.
        router: Writes the folder.
    """

    def __init__(self, folder: Path, sockets: Path, settings: Gateway) -> None:
        self.folder = folder
        self.settings = settings
        self.admins = [sockets / f"gateway-{number}.sock" for number in range(settings.processes)]
        self.router = self.another()
        self._running: dict[Path, Popen[bytes]] = {}

    @property
    def port(self) -> int:
        return self.settings.port

    def another(self, seconds: float = PATIENCE, **changes: Any) -> EnvoyRouter:
        """Another router over the same folder, as a new process would make it."""
        return EnvoyRouter(
            self.folder,
            self.settings.model_copy(update=changes),
            replica_idle_seconds=IDLE,
            admins=lambda: self.admins,
            seconds=seconds,
        )

    def start(self, admin_socket: Path) -> None:
        """Start one, and wait until it takes requests."""
        told = self.folder / f"{admin_socket.stem}.json"
        told.write_text(json.dumps(bootstrap.render(self.folder, admin=admin_socket)))
        with (self.folder / f"{admin_socket.stem}.log").open("ab") as log:
            self._running[admin_socket] = Popen(
                bootstrap.command(told, drain_seconds=5), stdout=log, stderr=log
            )
        until(lambda: admin.ready(admin_socket), what=f"{admin_socket.stem} is ready")

    def process(self, admin_socket: Path) -> Popen[bytes]:
        """The one with this socket."""
        return self._running[admin_socket]

    def kill(self, admin_socket: Path) -> None:
        """End one as a crash would."""
        gone = self._running.pop(admin_socket)
        gone.kill()
        gone.wait()

    def stop(self) -> None:
        """End all."""
        for one in list(self._running):
            self.kill(one)

    def apply(self, **given: Any) -> None:
        """Put routes into force."""
        self.router.apply(Routes(**given))

    def ask(self, path: str = "/v1/predict", **headers: str) -> Answer:
        """One request through a gateway."""
        return ask(self.port, path, **headers)


def counters(admin_socket: Path, pattern: str) -> dict[str, int | str]:
    """A gateway's statistics whose names match, once it answers."""

    def told() -> tuple[dict[str, int | str]] | None:
        try:
            return (admin.stats(admin_socket, pattern),)
        except admin.GoneError:
            raise
        except RouterError:  # it is busy
            return None

    return until(told, what=f"{admin_socket.stem} tells {pattern}")[0]


def counter(admin_socket: Path, name: str) -> int:
    """One of them."""
    return int(counters(admin_socket, f"^{name}$")[name])


def under_way(admin_socket: Path) -> int:
    """Requests of a gateway that were not answered yet."""
    return counter(admin_socket, "http.gateway.downstream_rq_active")


@contextmanager
def gateways(folder: Path, processes: int = 1, **settings: Any) -> Iterator[Gateways]:
    """Gateways that run, without a route."""
    # A unix socket's path may have 107 bytes; a test's folder is longer.
    sockets = Path(tempfile.mkdtemp(prefix="openautoglm-envoy-"))
    settings = {"port": free_port(), "processes": processes, **settings}
    running = Gateways(folder, sockets, Gateway.model_validate(settings))
    running.router.prepare()
    try:
        for one in running.admins:
            running.start(one)
        yield running
    finally:
        running.stop()
        shutil.rmtree(sockets)
