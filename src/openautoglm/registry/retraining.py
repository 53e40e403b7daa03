"""Looks for drift and retrainings, kept in MLflow: one run each, found again by their tags."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from mlflow.entities import Run

from openautoglm.errors import InputError
from openautoglm.registry.retraining_records import (
    BEGUN,
    CLAIMED,
    ENDED,
    LONGEST,
    PREFIX,
    SUCCEEDED,
    Look,
    Retraining,
)
from openautoglm.registry.store import Store, answering
from openautoglm.registry.versions import CHAMPION, aliases

_LOOK, _RETRAINING = "look", "retraining"
_NEWEST = 1000
_PAUSE_SECONDS = 0.2
_TOLD = re.compile(r"[\w.:/-]{1,200}")
_STATUS = {SUCCEEDED: "FINISHED", "cancelled": "KILLED"}


class Retrainings:
    """What is kept about one model.

    Args:
        store: An open store.
        model: Its registered name.
    """

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model

    def looks(self, model: str) -> list[Look]:
        """The latest looks beside one model's reference, oldest first.

        Args:
            model: The model's digest.
        """
        found = [Look.of(run) for run in self._search(_LOOK, model=model)]
        return sorted(found, key=lambda look: (look.at, look.run))

    def note(self, look: Look) -> None:
        """Keep a look; one that its pipeline run has noted already stays as it is."""
        found = self._search(_LOOK, run=look.run)
        run_id = found[0].info.run_id if found else self._create(_LOOK, look, look.verdict)
        with answering(self._store.uri):
            self._store.client.set_terminated(run_id)

    def note_decision(self, run: str, decision: str, reason: str) -> None:
        """Keep with a pipeline run's look what came of it."""
        for found in self._search(_LOOK, run=run):
            _tag(self._store, found.info.run_id, decision=decision, because=reason[:LONGEST])

    def all(self) -> list[Retraining]:
        """The latest retrainings, oldest first."""
        found = [Retraining.of(run) for run in self._search(_RETRAINING)]
        return sorted(found, key=lambda one: (one.at, one.run))

    def begin(
        self, mine: Retraining, *, blocks: Callable[[Retraining], bool], seconds: float = 60
    ) -> Retraining | None:
        """Begin a retraining unless another one is in the way: of many callers, at most one does.

        MLflow has no transaction. Everybody writes a claim and looks then, so of two callers at
        least one sees the other, and nobody begins who sees somebody else. Of those that have only
        claimed, the one with the lowest id waits for the others to withdraw.

        Args:
            mine: What to begin; the same again where its pipeline run has done so already.
            blocks: Whether a retraining is in the way of another one.
            seconds: How long to wait for others that have not begun.

        Returns:
            None when it has begun; else the one that is in the way.

        Raises:
            StoreError: The store does not answer.
        """
        mine_id = self._claim(mine)
        until = time.monotonic() + seconds
        while True:
            found = {run.info.run_id: Retraining.of(run) for run in self._search(_RETRAINING)}
            others = {key: one for key, one in found.items() if key != mine_id and blocks(one)}
            if not others:
                _tag(self._store, mine_id, state=BEGUN)
                return None
            begun = next((one for one in others.values() if one.state != CLAIMED), None)
            if begun or mine_id > min(others) or time.monotonic() > until:
                with answering(self._store.uri):
                    self._store.client.delete_run(mine_id)
                return begun or others[min(others)]
            time.sleep(_PAUSE_SECONDS)

    def _claim(self, mine: Retraining) -> str:
        for run in self._search(_RETRAINING, run=mine.run):
            claimed: str = run.info.run_id
            return claimed
        champion = aliases(self._store, self._model).get(CHAMPION, "")
        return self._create(_RETRAINING, replace(mine, champion=champion), self._model)

    def _create(self, kind: str, record: Look | Retraining, of: str) -> str:
        told = {"kind": kind, "name": self._model} | record.tags
        tags = {PREFIX + key: value for key, value in told.items()}
        with answering(self._store.uri):
            made: str = self._store.client.create_run(
                self._store.experiment,
                start_time=int(1000 * record.at),
                run_name=f"{kind}: {of}",
                tags=tags | {"mlflow.source.name": "openautoglm"},
            ).info.run_id
        return made

    def _search(self, kind: str, **tags: str) -> list[Run]:
        return _search(self._store, {"kind": kind, "name": self._model} | tags)


def end(store: Store, run: str, outcome: str, at: float) -> str | None:
    """Note the end of a pipeline run's retraining, if it has begun one that has not ended.

    Args:
        store: An open store.
        run: The pipeline run.
        outcome: `succeeded`, `failed` or `cancelled`.
        at: When, in seconds since 1970.

    Returns:
        What came of it, in words; None where there was nothing to end.

    Raises:
        StoreError: The store does not answer.
    """
    told = None
    for found in _search(store, {"kind": _RETRAINING, "run": run}):
        one, run_id = Retraining.of(found), found.info.run_id
        if one.state == ENDED:
            continue
        champion = aliases(store, found.data.tags[f"{PREFIX}name"]).get(CHAMPION, "")
        told = _told(one.champion, champion)
        # The state comes last: without it the end is noted again.
        _tag(store, run_id, outcome=outcome, told=told, ended=str(at), state=ENDED)
        with answering(store.uri):
            store.client.set_terminated(run_id, _STATUS.get(outcome, "FAILED"), int(1000 * at))
    return told


def _told(before: str, after: str) -> str:
    if not after:
        return "there is no champion"
    if before == after:
        return f"version {after} is still the champion"
    return f"version {after} is the champion now" + (f", after version {before}" if before else "")


def _tag(store: Store, run_id: str, **tags: str) -> None:
    with answering(store.uri):
        for key, value in tags.items():
            store.client.set_tag(run_id, PREFIX + key, value)


def _search(store: Store, tags: Mapping[str, str]) -> list[Run]:
    """Runs with all of these tags, the newest first.

    Raises:
        InputError: A value could not stand in a query.
        StoreError: The store does not answer.
    """
    for key, value in tags.items():
        if not _TOLD.fullmatch(value):
            raise InputError(f"found `{value}`", where=key, allowed="letters, digits and . : / - _")
    with answering(store.uri):
        return list(
            store.client.search_runs(
                [store.experiment],
                " and ".join(f"tags.`{PREFIX}{key}` = '{value}'" for key, value in tags.items()),
                order_by=["attributes.start_time DESC"],
                max_results=_NEWEST,
            )
        )
