"""The life of a controller: tick after tick, until it is told to end."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from threading import Event

from openautoglm.deploy.local import daemon
from openautoglm.deploy.local.controller import Controller, Decider
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import OpenAutoGLMError
from openautoglm.serving.observe import logs

_log = logging.getLogger("openautoglm.controller")
_BUSY_SECONDS, _IDLE_SECONDS = 0.1, 0.5
_ENDING_SECONDS = 10.0


def run(folder: ServiceFolder, decider: Decider) -> None:
    """Tick until SIGTERM or SIGINT; what goes wrong is logged, told, and tried again.

    A service whose folder was removed is ended: nobody could find it any more to do so.

    Args:
        folder: The service's.
        decider: Decides on weights while it owns them.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logs.configure()
    controller = Controller(folder, decider)
    place = os.open(folder.root, os.O_RDONLY | os.O_DIRECTORY)
    while not stop.is_set():
        if os.fstat(place).st_nlink == 0:  # a folder that was only moved has its links
            _log.warning("the service's folder was removed: ending the service")
            daemon.end_parent(folder)
            stop.wait(_ENDING_SECONDS)
            daemon.remove_sockets(folder)
            return
        try:
            idle = controller.tick()
        except Exception as error:  # whatever it is, what serves now is to go on
            known = isinstance(error, OpenAutoGLMError | OSError)
            _log.error(
                "this step failed and is tried again",
                extra={"why": str(error)},
                exc_info=None if known else error,
            )
            with suppress(OSError):  # a full disk may be what went wrong
                controller.failed(error)
            idle = True
        stop.wait(_IDLE_SECONDS if idle else _BUSY_SECONDS)
