"""A replica in a process of its own, as a user starts it."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from tests.support.project import BIN
from tests.support.wait import PATIENCE

_READY = re.compile(r"at (http://\S+?)(?:, gRPC at (\S+))?$")


@dataclass
class Replica:
    """A replica that is ready.

    Attributes:
        url: Of its HTTP.
        grpc_target: `host:port` of its gRPC; None without.
        log: File of what it wrote on standard error.
    """

    process: subprocess.Popen[str]
    url: str
    grpc_target: str | None
    log: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[Replica]:
    """A process that says where it listens as `openautoglm serve` does."""
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
        )
    assert process.stdout is not None
    try:
        found = _READY.search(process.stdout.readline().strip())
        assert found, f"it did not start: {log.read_text(encoding='utf-8')}"
        yield Replica(process, found[1], found[2], log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def serving(folder: Path, log: Path, *options: str, **environment: str) -> Iterator[Replica]:
    """`openautoglm serve` of a model folder on free ports, further options as given."""
    command = [
        *(str(BIN / "openautoglm"), "serve", "--model", str(folder)),
        *("--digest", digest_of(folder), "--name", "small", "--version", "7"),
        *("--port", "0", "--grpc-port", "0", *options),
    ]
    with started(command, log, **environment) as replica:
        yield replica


@contextmanager
def stub(
    log: Path, seconds: float, *settings: str, feedback: Path | None = None
) -> Iterator[Replica]:
    """The same process around a stub model that takes this long for a batch."""
    options = [part for each in settings for part in ("--set", each)]
    options += ["--feedback", str(feedback)] if feedback else []
    command = [sys.executable, "-m", "tests.support.stub_replica", str(seconds), *options]
    with started(command, log) as replica:
        yield replica


@functools.cache
def digest_of(folder: Path) -> str:
    """Of a model that does not change."""
    return folder_digest(folder / PAYLOAD)


def client(replica: Replica) -> httpx.Client:
    """A plain HTTP client of a replica."""
    return httpx.Client(base_url=replica.url, trust_env=False, timeout=PATIENCE)
