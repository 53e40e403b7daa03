"""Where a study is kept: an SQL database that several workers share, and a copy to look at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from openautoglm.config.postgres import with_driver
from openautoglm.errors import StoreError
from openautoglm.tuning.space import Space
from openautoglm.tuning.studies import STATES, parameters, quiet
from openautoglm.tuning.trials import Direction, Trial

_PATIENCE = 60.0  # seconds that SQLite waits for another worker's write
_RACES = 50  # times that a worker may lose the making of a table; there are fewer tables


@dataclass(frozen=True)
class Storage:
    """A study in a database.

    Attributes:
        url: SQLAlchemy URL.
        name: Name of the study in it.
        heartbeat: Seconds between two signs of life of a trial that runs.
        grace: Seconds without one after which a trial on another machine is given up.
    """

    url: str
    name: str
    heartbeat: int = 10
    grace: int = 60

    def __str__(self) -> str:
        with suppress(SQLAlchemyError):
            shown = sqlalchemy.make_url(self.url).render_as_string(hide_password=True)
            return f"study {self.name} in {shown}"
        return f"study {self.name}"


@contextmanager
def opened(storage: Storage) -> Iterator[RDBStorage]:
    """The database, its tables made when they are missing; closed at the end.

    Raises:
        StoreError: It cannot be reached or used.
    """
    try:
        rdb = _with_tables(storage)
    except (SQLAlchemyError, ImportError, optuna.exceptions.OptunaError) as error:
        raise StoreError(
            f"the database of trials cannot be used: {str(error).splitlines()[0]}",
            where=str(storage),
            allowed="an SQLAlchemy URL, such as sqlite:////folder/study.db",
        ) from error
    try:
        yield rdb
    finally:
        rdb.remove_session()
        rdb.engine.dispose()


def reachable(url: str) -> str:
    """Ask a database for an answer, and change nothing in it.

    Returns:
        The URL without its password.

    Raises:
        StoreError: It does not answer.
    """
    try:
        engine = sqlalchemy.create_engine(with_driver(url))
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise StoreError(
            f"the database of trials does not answer: {str(error).splitlines()[0]}",
            where="environment variable OPENAUTOGLM_STUDY",
            allowed="an SQLAlchemy URL, such as sqlite:////folder/study.db",
        ) from error
    return engine.url.render_as_string(hide_password=True)


def export(
    trials: Sequence[Trial],
    space: Space,
    directions: Sequence[Direction],
    path: Path,
    name: str = "study",
) -> None:
    """Write finished trials as an SQLite study that `optuna-dashboard sqlite:///PATH` opens.

    Args:
        trials: They keep their numbers: the file has no trace of attempts that were killed.
        space: Their space.
        directions: One a value.
        path: Appears whole, and replaces what was there.
        name: Name of the study in it.
    """
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    part.unlink(missing_ok=True)
    try:
        with opened(Storage(f"sqlite:///{part}", name)) as rdb:
            with quiet():
                study = optuna.create_study(
                    study_name=name, storage=rdb, directions=list(directions)
                )
            branches = list(dict.fromkeys([*space.branches, *(t.point.branch for t in trials)]))
            study.add_trials([_frozen(trial, space, branches) for trial in trials])
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _frozen(trial: Trial, space: Space, branches: Sequence[str]) -> Any:
    params, distributions = parameters(space, trial.point, branches)
    return optuna.trial.create_trial(
        state=STATES[trial.state],
        values=trial.values or None,
        params=params,
        distributions=distributions,
        user_attrs={"round": trial.round, "place": trial.place, "point": str(trial.point)},
        intermediate_values=dict(trial.reports),
    )


def _with_tables(storage: Storage) -> RDBStorage:
    """The database, with tables that may be made by several workers at the same moment."""
    for _ in range(_RACES):
        try:
            return _open(storage)
        except SQLAlchemyError as error:
            # Optuna looks, then makes: whoever comes second finds it there when it tries again.
            if not (isinstance(error, IntegrityError) or "already exists" in str(error)):
                raise
    return _open(storage)


def _open(storage: Storage) -> RDBStorage:
    sqlite = storage.url.startswith("sqlite:")
    with quiet():
        rdb = RDBStorage(
            with_driver(storage.url).replace("{", "{{").replace("}", "}}"),
            engine_kwargs={"connect_args": {"timeout": _PATIENCE}} if sqlite else {},
            heartbeat_interval=storage.heartbeat,
            grace_period=storage.grace,
        )
    if sqlite:
        rdb.engine.dispose()
        sqlalchemy.event.listen(rdb.engine, "connect", _by_hand)
        sqlalchemy.event.listen(rdb.engine, "begin", _immediate)
    return rdb


def _by_hand(connection: Any, _: object) -> None:
    connection.isolation_level = None


def _immediate(connection: Any) -> None:
    # SQLite knows no `select ... for update`: two workers that read before they write would
    # both claim a trial, or give up as deadlocked. So a transaction is a writer's at once.
    connection.exec_driver_sql("begin immediate")
