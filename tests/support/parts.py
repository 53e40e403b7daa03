"""Processes that share a search: workers of tune, some of which are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from openautoglm.config.params import Params, view
from openautoglm.config.yaml import load
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.runtime import Runtime
from openautoglm.tuning.queue import opened_queue
from openautoglm.tuning.storage import Storage
from tests.support.tuning import FORKS, SMALL, SPACE

_PROCESSES = multiprocessing.get_context("spawn")


def worker_of_tune(root: Path, runtime: Runtime, worker: int, told: Any) -> BaseProcess:
    """Start a worker of a project's tune; how many trials it began is put into `told`."""
    return _started(_work, root, runtime, worker, told)


def dying_worker_of_tune(root: Path, runtime: Runtime, worker: int) -> BaseProcess:
    """Start one that is killed in its second trial."""
    return _started(_work_until_killed, root, runtime, worker)


def queue() -> Any:
    """Where workers put what they tell."""
    return _PROCESSES.Queue()


def _started(target: Any, *args: Any) -> BaseProcess:
    process = _PROCESSES.Process(target=target, args=args)
    process.start()
    return process


def _work(root: Path, runtime: Runtime, worker: int, told: Any) -> None:
    from openautoglm.steps.tune_part import take_part

    params = view(load(root / "params.yaml", Params), STEPS["tune"].params)
    prepared = root / "data/prepared"
    told.put(take_part(prepared=prepared, params=params, runtime=runtime, worker=worker))


def _work_until_killed(root: Path, runtime: Runtime, worker: int) -> None:
    from openautoglm.steps.trials import Fit

    run, begun = Fit.__call__, []

    def dying(self: Fit, point: Any, report: Any) -> tuple[float]:
        begun.append(point)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self, point, report)

    Fit.__call__ = dying
    _work(root, runtime, worker, queue())


def opened_at_once(url: str, count: int) -> list[str | None]:
    """What so many processes complain of that open one study in the same moment."""
    told, barrier = FORKS.Queue(), FORKS.Barrier(count)
    opening = [FORKS.Process(target=_open, args=(barrier, url, told)) for _ in range(count)]
    for process in opening:
        process.start()
    found = [told.get() for _ in opening]
    for process in opening:
        process.join()
    return found


def _open(barrier: Any, url: str, told: Any) -> None:
    barrier.wait()
    try:
        with opened_queue(Storage(url, "tune"), SPACE, SMALL) as found:
            found.fill(0, SMALL.starts)
    except Exception as error:
        told.put(repr(error))
    else:
        told.put(None)
