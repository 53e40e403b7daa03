"""Signs of life of a trial that runs, for workers on other machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage


@contextmanager
def beating(rdb: RDBStorage, trial: int) -> Iterator[None]:
    """Record a heartbeat of a trial every `rdb.heartbeat_interval` seconds, meanwhile.

    Optuna's own thread does so for `Study.optimize` alone, which would invent a trial where
    none waits.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(rdb.get_heartbeat_interval()):
            with suppress(StorageInternalError):  # one missed beat is no reason to stop
                rdb.record_heartbeat(trial)
        rdb.remove_session()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
