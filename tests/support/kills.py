"""SIGKILL in the middle of something: of a step below `dvc repro`, or before a commit."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time

from tests.support.project import Small


def kill_during(project: Small, step: str, delay: float) -> bool:
    """Force one stage and kill DVC and the step `delay` seconds after the step began.

    Returns:
        Whether the kill came before the step had ended by itself.
    """
    process = subprocess.Popen(
        ("dvc", "repro", "--force", "--single-item", step),
        cwd=project.root,
        env=project.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("> openautoglm step"):
            break
    else:
        code = process.wait()
        process.stdout.close()
        raise AssertionError(f"{step} did not start, exit code {code}:\n{''.join(said)}")
    end = time.monotonic() + delay
    try:
        process.wait(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.read()  # it ends when the last one of them is gone
        return True
    finally:
        process.stdout.close()
    return False


def die_at_commit(stop: int) -> None:
    """Kill this process before the `stop`-th commit to whatever database."""
    import sqlalchemy

    commits = itertools.count(1)

    def tick(*_: object) -> None:
        if next(commits) == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", tick)
