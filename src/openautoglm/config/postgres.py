"""URLs of PostgreSQL, with a driver that is installed."""

from __future__ import annotations

from importlib.util import find_spec

from openautoglm.errors import StoreError


def with_driver(url: str) -> str:
    """The URL as SQLAlchemy can use it here; another database's comes back as it was.

    SQLAlchemy 2.1 takes a bare `postgresql` for psycopg 3; MLflow and our extra bring psycopg2.

    Raises:
        StoreError: The driver is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgres", "postgresql") and find_spec("psycopg") is None:
        scheme = "postgresql+psycopg2"
    if scheme == "postgresql+psycopg2" and find_spec("psycopg2") is None:
        raise StoreError(
            "the driver for PostgreSQL is not installed",
            where=f"postgresql://...{rest.partition('?')[0].rpartition('@')[2]}",
            hint="pip install -c constraints.txt -e '.[postgres]'",
        )
    return f"{scheme}{separator}{rest}"
