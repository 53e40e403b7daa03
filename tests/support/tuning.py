"""Cheap objectives for searches in several processes, and searches that are killed.

Each begun and each ended trial leaves a line in a file. Where a test needs a trial to be met
half-way, the objective waits for a file or for its end; nobody sleeps.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from openautoglm.tuning.search import search
from openautoglm.tuning.space import Dimension, Point, Space
from openautoglm.tuning.storage import Storage
from openautoglm.tuning.trials import Plan, Report
from tests.support.kills import die_at_commit
from tests.support.wait import until

SPACE = Space(
    "family",
    {
        "glm": (
            Dimension("penalty", low=0.01, high=10.0, log=True),
            Dimension("orders", choices=((1,), (1, 2), (1, 2, 3))),
        ),
        "transformer": (
            Dimension("lr", low=1e-4, high=1e-2, log=True),
            Dimension("layers", low=1, high=4, whole=True),
        ),
    },
)
STARTS = (
    Point("glm", {"penalty": 1.0, "orders": (1, 2)}),
    Point("transformer", {"lr": 1e-3, "layers": 2}),
)
PLAN = Plan(
    seed=3,
    rounds=2,
    trials=6,
    directions=("maximize",),
    labels=("value",),
    starts=STARTS,
    prune=True,
)
SMALL = replace(PLAN, rounds=1, trials=4)
EPOCHS = 3
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.tuning"])


@dataclass(frozen=True)
class Objective:
    """A smooth function of the point, reported epoch by epoch.

    Attributes:
        calls: Folder that holds the lines.
        hold: Trials begun after so many wait until they are killed.
        die: The process that begins the n-th trial kills itself, once.
        spare: A process that does not die, and waits with its first trial until one has.
    """

    calls: Path
    hold: int | None = None
    die: int | None = None
    spare: int | None = None

    def __call__(self, point: Point, report: Report) -> tuple[float, ...]:
        begun = self._note("begun", point)
        if self.hold is not None and begun > self.hold:
            self._note("held", point)
            threading.Event().wait()
        if self.spare == os.getpid():
            until((self.calls / "died").exists)
        elif self.die is not None and begun >= self.die and _first(self.calls / "died"):
            os.kill(os.getpid(), signal.SIGKILL)
        value = quality(point)
        for epoch in range(1, EPOCHS + 1):
            report(epoch, value * epoch / EPOCHS)
        self._note("ended", point)
        return (value,)

    def _note(self, what: str, point: Point) -> int:
        file = self.calls / what
        with file.open("a") as stream:
            stream.write(f"{os.getpid()} {point}\n")
        return len(file.read_text().splitlines())


@dataclass(frozen=True)
class Breaking:
    """Raises in each process but one, which waits until that has happened.

    Attributes:
        calls: Folder that tells of it.
        spare: The process that does not raise.
        error: What is raised; a class is called with two arguments.
    """

    calls: Path
    spare: int
    error: Exception | type[Exception]

    def __call__(self, point: Point, report: Report) -> tuple[float, ...]:
        if os.getpid() != self.spare:
            (self.calls / "raised").touch()
            raise self.error("no", "rows") if isinstance(self.error, type) else self.error
        until((self.calls / "raised").exists)
        return (quality(point),)


def several(point: Point, report: Report) -> tuple[float, ...]:
    """Three values of a point."""
    report(1, 0.5)
    return (quality(point), float(len(str(point))), float(len(point.values)))


def quality(point: Point) -> float:
    """Somewhere between 0 and 1, different for nearly every point."""
    found = 0.5
    for name, value in point.values.items():
        number = len(value) if isinstance(value, tuple) else float(value)
        found += 0.3 / (1 + abs(number - len(name) / 7))
    return found / 2


def lines(calls: Path, what: str) -> list[tuple[int, str]]:
    """Process and point of each trial that began or ended."""
    file = calls / what
    told = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), point) for pid, point in (line.split(" ", 1) for line in told)]


def times(calls: Path, what: str) -> Counter[str]:
    """How often each point began or ended."""
    return Counter(point for _, point in lines(calls, what))


def in_a_process(
    objective: Objective, storage: Storage, plan: Plan, workers: int
) -> multiprocessing.process.BaseProcess:
    """Start a search in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(
        target=search, args=(objective, SPACE, plan, storage), kwargs={"workers": workers}
    )
    process.start()
    return process


def killed_at(commit: int, calls: Path, storage: Storage) -> bool:
    """Search alone until the n-th commit to the database, which kills the process.

    Returns:
        Whether it came so far.
    """
    process = FORKS.Process(target=_search_until, args=(commit, calls, storage))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _search_until(last: int, calls: Path, storage: Storage) -> None:
    die_at_commit(last)
    search(Objective(calls), SPACE, SMALL, storage)


def _first(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
