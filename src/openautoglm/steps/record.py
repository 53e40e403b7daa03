"""What every pipeline ends with, whatever happened: a record in MLflow, and a notification."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from openautoglm.errors import ConfigError
from openautoglm.observability.progress import say, working_on
from openautoglm.registry.pipeline_runs import PipelineRun, keep
from openautoglm.registry.retraining import end
from openautoglm.registry.store import open_store
from openautoglm.steps.component import FAILURE, failure_of, this_project
from openautoglm.steps.plan import planned

NOTIFY, HOST = "OPENAUTOGLM_NOTIFY_URL", "OPENAUTOGLM_KUBEFLOW_HOST"
# Kubeflow's SDK and its server do not call the same state by one name.
_STATES = {
    "SUCCEEDED": "succeeded",
    "COMPLETE": "succeeded",
    "CACHED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
    "CANCELLED": "cancelled",
}
_LONGEST = 2000
_SECONDS = 5.0
_PAUSES = (1.0, 3.0)
_LATER = (408, 425, 429)
# It logs every URL that it asks, and whoever knows that of a notification may write there.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Status(Protocol):
    """What Kubeflow tells of a run that has ended."""

    state: str
    error_message: str | None


def record(
    status: Status, *, pipeline: str, run: str, params: str, now: float | None = None
) -> None:
    """Keep how a run ended, end the retraining that it began, and tell somebody.

    Nothing that goes wrong here makes a run fail; it is told, and a record that could not be kept
    is part of the notification.

    Args:
        status: Of the run.
        pipeline: The pipeline's name.
        run: Kubeflow's id of the run.
        params: What `params.yaml` would hold.
        now: Seconds since 1970; None asks the clock.
    """
    working_on("record")
    state = _STATES.get(status.state, str(status.state).lower())
    # On this machine the component that failed has left what it said.
    left = failure_of(os.environ[FAILURE]) if os.environ.get(FAILURE) else None
    error = (left.text if left else status.error_message or "")[:_LONGEST]
    ended = PipelineRun(pipeline, run, state, error, _link(run), _values(params))
    text = f"{pipeline}: {state}" + (f": {error}" if error else "")
    try:
        text += _kept(ended, time.time() if now is None else now)
    except Exception as wrong:  # whatever it is, the run has ended as it has
        lost = f"NO RECORD WAS KEPT of run {run}: {wrong or type(wrong).__name__}"
        say(lost)
        text += f"\n{lost}"
    say(text)
    url = os.environ.get(NOTIFY)
    if url:
        told = {"pipeline": pipeline, "state": state, "run": run, "error": error}
        notify(url, {"text": f"{text}\n{ended.link or f'run {run}'}", **told})


def _kept(ended: PipelineRun, now: float) -> str:
    """Keep the run; what came of its retraining, in words."""
    store = open_store(this_project())
    keep(store, ended)
    outcome = end(store, ended.run, ended.state, now)
    return f"; retraining: {outcome}" if outcome else ""


def _values(params: str) -> dict[str, Any]:
    """All parameters, or the text as it is where it is the reason for a failure."""
    try:
        return planned(params).model_dump(mode="json", by_alias=True)
    except ConfigError:
        return {"params": params}


def _link(run: str) -> str:
    host = os.environ.get(HOST, "").rstrip("/")
    return f"{host}/#/runs/details/{run}" if host else ""


def notify(url: str, message: Mapping[str, str]) -> bool:
    """POST a message as JSON; try again where that may help, and say what came of it.

    Args:
        url: Where to; what is behind its host is a secret, and never shown.
        message: With a key `text`, as chat servers want it.

    Returns:
        Whether somebody took it.
    """
    shown, why = _shown(url), ""
    for pause in (*_PAUSES, None):
        why, later = _post(url, message)
        if not why:
            say(f"told {shown}")
            return True
        if pause is None or not later:
            break
        say(f"{shown} {why}; again in {pause:g} s")
        time.sleep(pause)
    say(f"NOBODY WAS TOLD: {shown} {why}; see the environment variable {NOTIFY}")
    return False


def _post(url: str, message: Mapping[str, str]) -> tuple[str, bool]:
    """What went wrong, empty for nothing, and whether another attempt may help."""
    try:
        # The answer's body is nobody's business, however long it is.
        with httpx.stream("POST", url, json=dict(message), timeout=_SECONDS) as answer:
            code = answer.status_code
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
        return "is no URL of a web server", False
    except httpx.HTTPError as error:
        return f"does not answer ({type(error).__name__})", True
    if 200 <= code < 300:
        return "", False
    return f"answered {code}", code >= 500 or code in _LATER


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}/..."
    except ValueError:
        return "the address"
