"""Run a command and see what it costs: seconds, CPU seconds, memory of the whole tree."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

BIN = Path(sys.executable).parent
INTERVAL = 0.1  # seconds between two looks at the memory


class Cost(NamedTuple):
    """Wall-clock and CPU seconds, children included."""

    wall: float
    cpu: float


def environment(**extra: str) -> dict[str, str]:
    """What a shell has in which the virtual environment is activated, and nothing of our own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
    own = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "HF_HUB_OFFLINE": "1"}
    return kept | own | {"PATH": f"{BIN}:{kept['PATH']}"} | extra


def cost(command: tuple[str, ...], folder: Path) -> Cost:
    """Run once, quietly.

    Raises:
        CalledProcessError: It failed.
    """
    before, start = children_cpu(), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return Cost(time.perf_counter() - start, children_cpu() - before)


def children_cpu() -> float:
    """CPU seconds of all processes we started and that have ended, their children included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def side_by_side(*commands: tuple[tuple[str, ...], Path], runs: int) -> list[Cost]:
    """Median cost of each command, run in turns: what else the machine does meets them all."""
    for command, folder in commands:
        cost(command, folder)  # fills the disk's cache
    turns = [[cost(*command) for command in commands] for _ in range(runs)]
    return [
        Cost(median(one.wall for one in column), median(one.cpu for one in column))
        for column in zip(*turns, strict=True)
    ]


class Watch:
    """A command under way: its lines as they come, and the peak memory of its process tree.

    Memory is the sum of the resident sets, sampled: pages that two processes share count twice,
    and a peak shorter than `INTERVAL` may be missed.
    """

    def __init__(self, command: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._root = psutil.Process(self._process.pid)
        self._peak = 0
        self._ended = threading.Event()

    def lines(self) -> Iterator[str]:
        """Each line of its output; ends when it ends."""
        assert self._process.stdout is not None
        sampler = threading.Thread(target=self._sample)
        sampler.start()
        try:
            yield from self._process.stdout
            self._process.wait()
        finally:
            self._ended.set()
            sampler.join()
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    @property
    def code(self) -> int | None:
        """Its exit status."""
        return self._process.returncode

    def peak(self) -> int:
        """Bytes at the highest since this was last asked."""
        found, self._peak = self._peak, 0
        return found

    def _sample(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._peak = max(self._peak, _resident(self._root))


def _resident(root: psutil.Process) -> int:
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # it ended meanwhile
            continue
    return total
