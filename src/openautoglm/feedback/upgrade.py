"""Makes a store that an older release has written into one of this release, in one transaction.

Older replicas may write on while new ones take their place: what they leave out has a default.
"""

from __future__ import annotations

import sqlalchemy as sa

_SHARED = ("feedback_labels", "feedback_requests")
_OWNER = """
    coalesce((select s.name from feedback_answers a join feedback_sources s on s.key = a.source
              where a.request_id = {table}.request_id order by a.seq limit 1), '')
"""
"""Whose a label or a sampled request is: that of the answer, "" where the answer is gone."""


def upgrade(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Add what is missing: nothing in a store that is new or of this release.

    Args:
        connection: That of a transaction of the only writer.
        metadata: The tables as they have to be.
    """
    found = sa.inspect(connection)
    sqlite = connection.dialect.name == "sqlite"
    if not found.has_table("feedback_answers"):
        return
    if not sqlite:
        # Once, and however long it takes; what others wait for the lock has a limit of its own.
        connection.exec_driver_sql("set local statement_timeout = 0")
    if not _has(found, "feedback_answers", "crc"):
        connection.exec_driver_sql("alter table feedback_answers add column crc bigint")
    for name in _SHARED:
        if not _has(found, name, "service"):
            change = _rebuild if sqlite else _alter
            change(connection, found, metadata.tables[name])


def _has(found: sa.Inspector, table: str, column: str) -> bool:
    return any(one["name"] == column for one in found.get_columns(table))


def _alter(connection: sa.Connection, found: sa.Inspector, table: sa.Table) -> None:
    """PostgreSQL: add the service, and make it a part of the key."""
    name = table.name
    unique = [str(one["name"]) for one in found.get_unique_constraints(name)]
    keys = ", ".join(_key(table))
    for change in (
        "add column service text not null default ''",
        *(f'drop constraint "{one}"' for one in unique),
        f"add unique ({keys})",
    ):
        connection.exec_driver_sql(f"alter table {name} {change}")
    connection.exec_driver_sql(f"update {name} set service = {_OWNER.format(table=name)}")  # noqa: S608


def _rebuild(connection: sa.Connection, _: sa.Inspector, table: sa.Table) -> None:
    """SQLite cannot change a key: make the table anew, with the numbers its rows have."""
    name, old = table.name, f"{table.name}_old"
    kept = ", ".join(column.name for column in table.columns if column.name != "service")
    connection.exec_driver_sql(f"alter table {name} rename to {old}")
    table.create(connection)
    # The last number that was given, of a row that is gone by now, maybe: it is not given again.
    connection.exec_driver_sql(
        f"insert into sqlite_sequence (name, seq) select '{name}', seq from sqlite_sequence "  # noqa: S608
        f"where name = '{old}'"
    )
    connection.exec_driver_sql(
        f"insert into {name} ({kept}, service) select {kept}, {_OWNER.format(table=old)} "  # noqa: S608
        f"from {old} order by seq"
    )
    connection.exec_driver_sql(f"drop table {old}")


def _key(table: sa.Table) -> list[str]:
    (unique,) = (one for one in table.constraints if isinstance(one, sa.UniqueConstraint))
    return [column.name for column in unique.columns]
