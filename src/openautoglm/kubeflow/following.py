"""Following a run on a server to its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import kfp_server_api as kfp

from openautoglm.kubeflow.client import Server
from openautoglm.kubeflow.errors import RunFailedError, ServerError
from openautoglm.kubeflow.submitting import Submitted

_ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_INNER = re.compile(r"^(root|executor)$|(^|-)driver$|^iteration-")
"""Parts of Kubeflow's own that stand among the tasks."""
_LOST = 900.0  # seconds without an answer after which a run is no longer followed


def follow(
    server: Server, begun: Submitted, say: Callable[[str], None], *, pause: float = 5.0
) -> None:
    """Wait until a run has ended, and tell what its tasks do meanwhile.

    Args:
        server: On which it is.
        begun: The run.
        say: Takes one line.
        pause: Seconds between looks.

    Raises:
        RunFailedError: It did not succeed; the message names the task and its error.
        ServerError: The server has not answered for a quarter of an hour; the run goes on.
    """
    patience = server.connection.patience
    told: dict[str, str] = {}
    heard = patience.clock()
    while True:
        try:
            run = server.get_run(begun.run)
        except ServerError as error:
            if not error.passes or patience.clock() - heard > _LOST:
                error.hint = f"the run goes on: {begun.url}"
                raise
            say(f"{error.what}; the run goes on")
        else:
            heard = patience.clock()
            for name, state in _states(run).items():
                if told.get(name) != state:
                    say(f"{name}: {state.lower()}")
            told |= _states(run)
            if run.state in _ENDED:
                return _judge(run, begun)
        patience.sleep(pause)


def _tasks(run: kfp.V2beta1Run) -> list[Any]:
    return list((run.run_details and run.run_details.task_details) or ())


def _states(run: kfp.V2beta1Run) -> dict[str, str]:
    """The state of each task that has one, and of the run."""
    found = {
        task.display_name: task.state
        for task in _tasks(run)
        if task.display_name and task.state and not _INNER.search(task.display_name)
    }
    return found | {"run": run.state or "PENDING"}


def _judge(run: kfp.V2beta1Run, begun: Submitted) -> None:
    if run.state == "SUCCEEDED":
        return
    failed = [task for task in _tasks(run) if task.state == "FAILED"]
    # A task fails with each one around it; what has its own words is nearest to the cause.
    named = [task for task in failed if not _INNER.search(task.display_name or "")]
    worded = [task for task in named or failed if _message(task)]
    task = next(iter(worded or named or failed), None)
    words = _message(task) or _message(run)
    of = f": task {task.display_name} failed" if task else ""
    raise RunFailedError(
        f"the run ended {str(run.state).lower()}{of}" + (f": {words}" if words else ""),
        where=begun.url,
        hint="the task's log is on that page",
    )


def _message(found: Any) -> str:
    return (found and found.error and found.error.message) or ""
