"""The project's MLflow store: where it is, and whether it answers.

The store is `MLFLOW_TRACKING_URI`, or `mlflow.db` and `mlartifacts/` in the project root. Runs
and registered models live in the same store.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from openautoglm.config.postgres import with_driver
from openautoglm.config.project import Project
from openautoglm.errors import StoreError
from openautoglm.registry.sqlite import follow_move, make, no_database, sqlite_file

EXPERIMENT = "open-autoglm"
"""Every run of the chain, of register and of compare, unless `MLFLOW_EXPERIMENT_NAME` is set."""

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SECONDS = 5
# Which of its two menus MLflow's page opens with.
_KIND = "mlflow.experimentKind"
_FULL = ("disk is full", "no space left", "quota exceeded")

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        uri: What MLflow is given.
        client: Runs and registered models.
        experiment: Id of the experiment our runs are in.
    """

    uri: str
    client: MlflowClient
    experiment: str


def open_store(project: Project) -> Store:
    """Connect to the project's store; a SQLite file that is not there is made.

    Raises:
        StoreError: It does not answer, or is none.
    """
    uri = _uri(project)
    # Once it has answered, a pause of some seconds is bridged, not one of minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        make(file, project.artifact_root)
    if file == project.root / "mlflow.db":
        follow_move(file, project.artifact_root, _experiment_name())
    _probe(uri)
    with answering(uri), _impatient():
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return Store(uri, client, _experiment(client, _artifact_root(uri, project)))


def reachable(project: Project) -> str:
    """One line for `doctor`; makes nothing.

    Raises:
        StoreError: The store does not answer.
    """
    uri = _uri(project)
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        return f"{file}: the first run makes it"
    _probe(uri)
    with answering(uri), _impatient():
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        models = [model.name for model in client.search_registered_models(max_results=50)]
    return f"{redacted(uri)}: models {', '.join(models) or 'none yet'}"


def redacted(uri: str) -> str:
    """The URI without its password."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    user = f"{parts.username or ''}:***@"
    return parts._replace(netloc=user + parts.netloc.rpartition("@")[2]).geturl()


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn what MLflow raises inside the block into a `StoreError` that names the store.

    A full disk is left as it is: it is no fault of the store, and told as what it is.
    """
    try:
        yield
    except MlflowException as error:
        if any(word in str(error).lower() for word in _FULL):
            raise
        raise _no_answer(uri, error) from error


def _no_answer(uri: str, error: Exception) -> StoreError:
    secret = urlsplit(uri).password
    told = str(error).strip().splitlines() or [type(error).__name__]
    first = told[0].replace(secret, "***") if secret else told[0]
    if "out-of-date database schema" in first:
        return StoreError(
            "the MLflow database is of an older version",
            where=redacted(uri),
            hint="back it up, then: mlflow db upgrade URI",
        )
    return StoreError(
        f"MLflow's store does not answer: {first[:300]}",
        where=redacted(uri),
        hint="start it, or mend MLFLOW_TRACKING_URI; unset, it is mlflow.db in the project",
    )


def _uri(project: Project) -> str:
    uri = with_driver(project.tracking_uri)
    scheme = uri.partition("://")[0]
    known = (*_DATABASES, "http", "https", "databricks")
    if uri != "databricks" and scheme.partition("+")[0] not in known:
        raise StoreError(
            "MLflow has no such store",
            where=redacted(uri),
            allowed="http(s)://, postgresql://, mysql+pymysql://, sqlite:///ABSOLUTE/FILE.db",
            hint="unset MLFLOW_TRACKING_URI to use mlflow.db in the project",
        )
    return uri


def _artifact_root(uri: str, project: Project) -> str | None:
    """Where our experiment keeps its files; a server decides that itself."""
    if not uri.startswith(_DATABASES):
        return None
    if sqlite_file(uri) != project.root / "mlflow.db":
        chosen = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
        if chosen:
            return chosen.rstrip("/")
    return project.artifact_root.as_uri()


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def _experiment(client: MlflowClient, root: str | None) -> str:
    name = _experiment_name()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            made: str = client.create_experiment(
                name, f"{root}/{name}" if root else None, tags={_KIND: "custom_model_development"}
            )
            return made
        except MlflowException:  # somebody else was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    experiment: str = found.experiment_id
    return experiment


def _probe(uri: str) -> None:
    """Ask once and briefly, because MLflow itself asks for minutes."""
    if uri.startswith(_DATABASES):
        _probe_database(uri)
        return
    parts = urlsplit(uri)
    if parts.hostname is None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=_SECONDS).close()
    except OSError as error:
        raise _no_answer(uri, error) from None


def _probe_database(uri: str) -> None:
    patient = uri.startswith(("postgresql", "mysql"))
    try:
        engine = sqlalchemy.create_engine(
            uri,
            poolclass=sqlalchemy.pool.NullPool,
            connect_args={"connect_timeout": _SECONDS} if patient else {},
        )
        sqlalchemy.inspect(engine).get_table_names()
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        if any(word in str(error).lower() for word in _FULL):
            raise
        cause = getattr(error, "orig", None) or error
        file = sqlite_file(uri)
        raise (no_database(file, cause) if file else _no_answer(uri, cause)) from None


@contextmanager
def _impatient() -> Iterator[None]:
    """One attempt and some seconds for the first answer of a server."""
    wanted = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(_SECONDS),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
