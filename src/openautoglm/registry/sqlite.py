"""MLflow's SQLite file: made whole or not at all, and moved together with its artifacts."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from openautoglm.artifacts.folder import sync
from openautoglm.errors import StoreError
from openautoglm.observability.progress import say

# Where MLflow keeps absolute artifact URIs.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def sqlite_file(uri: str) -> Path | None:
    """The file that a URI names; None for other stores."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def make(file: Path, artifacts: Path) -> None:
    """A new database, whole or not at all.

    MLflow makes it by dozens of migrations; a kill between two of them would leave a file that
    no later start can use. So it is made beside, and linked to its name when it is whole.
    """
    say(f"making {file} (once)")
    start = time.perf_counter()
    file.parent.mkdir(parents=True, exist_ok=True)
    for stale in file.parent.glob(f".{file.name}.part-*"):
        stale.unlink(missing_ok=True)
    part = file.parent / f".{file.name}.part-{os.getpid()}"
    try:
        with _unsynced():
            made = SqlAlchemyStore(f"sqlite:///{part}", artifacts.as_uri())
            made.engine.dispose()
        sync(part)
        try:
            os.link(part, file)  # refuses to replace what another process made meanwhile
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            part.rename(file)
    finally:
        for rest in file.parent.glob(f"{part.name}*"):
            rest.unlink(missing_ok=True)
    say(f"made in {time.perf_counter() - start:.1f} s")


def follow_move(file: Path, artifacts: Path, experiment: str) -> None:
    """A project folder that was moved or copied takes its artifacts along.

    Args:
        file: The database.
        artifacts: Where artifacts are now.
        experiment: The experiment whose place tells where they were.

    Raises:
        StoreError: The file is no database, or is held by somebody else.
    """
    here = f"{artifacts.as_uri()}/{experiment}"
    try:
        with closing(sqlite3.connect(file)) as database, database:
            found = database.execute(
                "select artifact_location from experiments where name = ?", (experiment,)
            ).fetchone()
            ending = f"/{artifacts.name}/{experiment}"
            if found is None or found[0] == here or not found[0].endswith(ending):
                return
            say(f"the project was moved: artifacts are now in {artifacts}")
            old = found[0].removesuffix(experiment)
            new = here.removesuffix(experiment)
            for table, column in _PLACES:
                database.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"where substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, len(old), old),
                )
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return  # an empty file: MLflow makes its tables
        raise StoreError(
            f"the database cannot be used: {error}",
            where=str(file),
            hint="end what holds it (mlflow ui?), then the same command again",
        ) from error
    except sqlite3.DatabaseError as error:
        raise no_database(file, error) from error


def no_database(file: Path, error: Exception) -> StoreError:
    """What to raise for a file that SQLite or MLflow cannot use."""
    return StoreError(
        f"this is no MLflow database: {str(error).splitlines()[0]}",
        where=str(file),
        hint="move it away; `openautoglm verify` makes a new one and registers again",
    )


@contextmanager
def _unsynced() -> Iterator[None]:
    """Spare a file that nobody else sees yet one flush to the disk a migration."""

    def connected(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("pragma synchronous = off")
        connection.execute("pragma journal_mode = memory")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", connected)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", connected)
