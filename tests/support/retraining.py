"""Decide on a retraining in processes of their own: many at a time, or killed half-way.

The processes come from a fork server that has imported everything once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

from tests.support.kills import die_at_commit

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["openautoglm.steps.retrain", "tests.support.registry"])
HOUR = 3600.0
_URI = "MLFLOW_TRACKING_URI"


def decide(root: Path, run: str, hour: float, window: str, looks: int = 1) -> tuple[str, str]:
    """One look with drift, and what came of it."""
    from openautoglm.config.project import Project
    from openautoglm.config.retrain import RetrainSettings
    from openautoglm.registry.retraining_records import Look
    from openautoglm.registry.store import open_store
    from openautoglm.steps.retrain import decided

    look = Look(run, hour * HOUR, "sha256-m", window, "drift", "because")
    settings = RetrainSettings(looks=looks)
    store = open_store(Project(root))
    return decided(store, "small", look, "sha256-new", settings, step="fetch")


def decide_together(root: Path, count: int) -> list[tuple[str, str]]:
    """As many processes as asked, let go at once, each for a pipeline run of its own."""
    barrier = CONTEXT.Barrier(count)
    pipes = [CONTEXT.Pipe(duplex=False) for _ in range(count)]
    processes = [
        CONTEXT.Process(
            target=_together, args=(root, place, barrier, there, os.environ.get(_URI, ""))
        )
        for place, (_, there) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, there in pipes:
        there.close()
    found = [here.recv() for here, _ in pipes]
    for process in processes:
        process.join()
    return found


def _together(root: Path, place: int, barrier, answer, uri: str) -> None:
    from openautoglm.config.project import Project
    from openautoglm.registry.store import open_store

    # The fork server has the environment of the test that started it.
    os.environ[_URI] = uri
    open_store(Project(root))
    barrier.wait()
    answer.send(tuple(decide(root, f"run-{place}", 10, f"w{place}")))


def decide_until(root: Path, run: str, stop: int) -> bool:
    """Decide, and die before the `stop`-th commit; whether it came to that."""
    process = CONTEXT.Process(target=_until, args=(root, run, stop, os.environ.get(_URI, "")))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _until(root: Path, run: str, stop: int, uri: str) -> None:
    os.environ[_URI] = uri
    die_at_commit(stop)
    decide(root, run, 10, "w")
