"""The tables, and connections to them: SQLite and PostgreSQL.

Several services may share one store. Whose an answer is says its source; labels and sampled
requests name their service, because two services may be asked under one name. Where the service
is "" an older release wrote the row: it counts for every service of the store until it is too old.

All writers take one lock first, so numbers are given in the order of commits: whoever has read up
to a number misses nothing below it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError

from openautoglm.config.feedback import shown
from openautoglm.config.postgres import with_driver
from openautoglm.errors import StoreError
from openautoglm.feedback.upgrade import upgrade

_SECONDS = 3
_CONNECTIONS = 4
_LOCK = 0x6F61_676C_6D66_6264  # of this program, among the advisory locks of a database
_BEGIN = "openautoglm_begin"

metadata = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _numbered(name: str, *parts: Any) -> sa.Table:
    """A table whose rows have numbers that are never given again."""
    key = sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True)
    return sa.Table(f"feedback_{name}", metadata, key, *parts, sqlite_autoincrement=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _service() -> sa.Column[str]:
    return sa.Column("service", sa.Text, nullable=False, server_default="")


def _time() -> sa.Column[float]:
    return sa.Column("time", sa.Double, nullable=False)


sources = sa.Table(
    "feedback_sources",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    *(_text(name) for name in ("name", "version", "digest", "family", "variant", "classes")),
)
"""What gave answers; `name` is the service's, `classes` a JSON list."""
answers = _numbered(
    "answers",
    *(_text(name) for name in ("request_id", "source")),
    _time(),
    *(_text(name) for name in ("labels", "confidence")),
    sa.Column("crc", sa.BigInteger),
    sa.UniqueConstraint("request_id", "source"),
)
"""One row an answer; labels and confidence are JSON lists. Copies of a request under shadow have
its id, and another source. `crc` is `openautoglm.feedback.answers.Answer`'s."""
labels = _numbered(
    "labels",
    *(_service(), _text("request_id"), _time(), _text("labels")),
    sa.UniqueConstraint("request_id", "service"),
)
"""The label that stands for each request of a service, a JSON list."""
requests = _numbered(
    "requests",
    *(_service(), _text("request_id"), sa.Column("place", sa.Integer, nullable=False)),
    *(_time(), _text("input")),
    sa.UniqueConstraint("request_id", "service", "place"),
)
"""Rows of the requests in the sample, each as JSON."""


def of_service(table: sa.Table, service: str) -> sa.ColumnElement[bool]:
    """Which rows of a table count for a service.

    Args:
        table: `answers`, `labels` or `requests`.
        service: Its name.
    """
    if table is answers:
        keys = sa.select(sources.c.key).where(sources.c.name == service)
        return answers.c.source.in_(keys)
    return table.c.service.in_((service, ""))


class Database:
    """Connections to one store; the tables are made with the first writing.

    Args:
        url: SQLite file or PostgreSQL.
        durable: Whether a commit waits for the disk. Without, a SQLite store may lose the last
            ones when the machine dies, and is whole all the same.

    Raises:
        StoreError: The driver is not installed.
    """

    def __init__(self, url: str, *, durable: bool) -> None:
        self.url = url
        self._made = False
        self._file = _file(url)
        self._sqlite = self._file is not None
        options: dict[str, Any] = {"connect_args": {"timeout": _SECONDS}}
        place: str | sa.URL = sa.URL.create("sqlite", database=str(self._file))
        if not self._sqlite:
            place = with_driver(url)
            limits = f"-c statement_timeout={_SECONDS}s -c lock_timeout={_SECONDS}s"
            told = {"connect_timeout": _SECONDS, "tcp_user_timeout": 1000 * _SECONDS}
            options = {"connect_args": {**told, "options": limits}, "pool_pre_ping": True}
        self._engine = sa.create_engine(
            place, pool_size=_CONNECTIONS, pool_timeout=_SECONDS, **options
        )
        if self._sqlite:
            self._synchronous = "full" if durable else "normal"
            sa.event.listen(self._engine, "connect", self._prepare)
            sa.event.listen(self._engine, "begin", _begin)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that changes nothing.

        Raises:
            StoreError: The store does not answer.
        """
        if not self._made:
            with self.writing():
                pass
        with self._told(), self._engine.connect() as connection:
            if self._sqlite:
                connection.execution_options(**{_BEGIN: "begin deferred"})
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction of the only writer; what it wrote stands when this ends.

        Raises:
            StoreError: The store does not answer, is full, or is busy for too long.
        """
        if self._file and not self._made:
            _make(self._file, self.url)
        with self._told(), self._engine.begin() as connection:
            if not self._sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            if not self._made:
                upgrade(connection, metadata)
                metadata.create_all(connection)
            yield connection
        self._made = True

    def add(self, connection: sa.Connection, table: sa.Table, rows: list[tuple[Any, ...]]) -> int:
        """Insert rows whose keys are not there yet.

        Args:
            connection: That of a transaction that writes.
            table: Where to.
            rows: Values of each column but `seq`, in the table's order.

        Returns:
            How many were new.
        """
        names = [column.name for column in table.columns if column.name != "seq"]
        if self._sqlite:
            # Straight to the driver: SQLAlchemy would take half as long again for each row.
            marks = ", ".join("?" * len(names))
            into = f"{table.name} ({', '.join(names)})"
            insert = f"insert into {into} values ({marks}) on conflict do nothing"  # noqa: S608
            return connection.exec_driver_sql(insert, rows).rowcount
        told = [dict(zip(names, row, strict=True)) for row in rows]
        return connection.execute(
            postgresql.insert(table).on_conflict_do_nothing().inline(), told
        ).rowcount

    def wipe(self) -> None:
        """Leave nothing of removed rows in the files beside a SQLite store.

        PostgreSQL's own vacuum does this for its files.

        Raises:
            StoreError: The store does not answer.
        """
        if self._sqlite:
            with self._told(), self._engine.connect() as connection:
                connection.execution_options(**{_BEGIN: ""})  # no transaction may be open
                connection.exec_driver_sql("pragma wal_checkpoint(truncate)").close()

    def close(self) -> None:
        """End the connections."""
        self._engine.dispose()

    def _prepare(self, connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin when we say so
        connection.execute("pragma journal_mode=wal").close()
        connection.execute(f"pragma synchronous={self._synchronous}").close()
        connection.execute("pragma secure_delete=on").close()  # of a removed text nothing stays

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database as ours; without the statement, which holds people's texts."""
        try:
            yield
        except SQLAlchemyError as error:
            what = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise StoreError(
                f"the feedback store does not answer: {what}", where=shown(self.url)
            ) from error


def exists(url: str) -> bool:
    """Whether a store can be there: False only for a SQLite file that is missing."""
    file = _file(url)
    return file is None or file.is_file()


def _file(url: str) -> Path | None:
    """The file of a SQLite store; whatever stands in its name is part of it."""
    scheme, _, path = url.partition(":///")
    return Path(path) if scheme == "sqlite" else None


def _make(file: Path, url: str) -> None:
    """Let only this user read what people asked; SQLite gives its other files the same mode.

    One that is there is not even opened: closing it would end the locks that other connections of
    this process hold on it, and whoever closes the next one would remove their log as nobody's.
    """
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(
            f"the feedback store cannot be opened: {error.strerror}", where=shown(url)
        ) from error


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads before it writes could not go on when another wrote meanwhile.
    if begin := connection.get_execution_options().get(_BEGIN, "begin immediate"):
        connection.exec_driver_sql(begin)
