"""The databases of infra/kubeflow in a real PostgreSQL, made by the script that a cluster runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import sql

from tests.support.kustomize import KUBEFLOW

NAMES = ("mlflow", "study", "feedback")
SCRIPT = KUBEFLOW / "base" / "postgres" / "databases.sql"


def run_script(server: str, passwords: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What psql does with the script, called as the image of PostgreSQL calls it."""
    import pgserver

    psql = Path(pgserver.__file__).parent / "pginstall" / "bin" / "psql"
    given = {f"{name.upper()}_DB_PASSWORD": password for name, password in passwords.items()}
    return subprocess.run(
        [str(psql), "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", str(SCRIPT), server],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
    )


@contextmanager
def databases(server: str, **passwords: str) -> Iterator[dict[str, str]]:
    """URL of each database, as its role; all of them are gone afterwards."""
    try:
        done = run_script(server, passwords)
        assert done.returncode == 0, done.stderr
        yield {name: as_role(server, name, name) for name in NAMES}
    finally:
        with _administrator(server) as cursor:
            for name in map(sql.Identifier, NAMES):
                cursor.execute(sql.SQL("drop database if exists {} with (force)").format(name))
                cursor.execute(sql.SQL("drop role if exists {}").format(name))
            cursor.execute("grant connect, temporary on database postgres to public")


def as_role(server: str, role: str, database: str) -> str:
    """The server's URL, with another user and database."""
    return server.replace("//postgres:", f"//{role}:").replace("/postgres?", f"/{database}?")


def kept_passwords(server: str) -> dict[str, str]:
    """Role to what the server keeps of its password."""
    with _administrator(server) as cursor:
        cursor.execute("select rolname, rolpassword from pg_authid where rolcanlogin")
        return {role: kept for role, kept in cursor.fetchall() if role in NAMES}


@contextmanager
def _administrator(server: str) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(server)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
