"""Transactions on the outbox's engine: one place that makes an OutboxError of what goes wrong."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, event, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from golem_client import OutboxError
from golem_client.frames import without_locals
from golem_client.outbox.statements import CHANNEL, INSERTS
from golem_client.outbox.tables import ENTRIES, KEYS, SCHEMA_KEY, SCHEMA_VERSION, Now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_BUSY_SECONDS = 10.0
_CREATE_LOCK = 0x60_1E_0B_0C
_AWAY_SECONDS = 0.5
_TRIES = 5
_LONGEST_WORDS = 200
_URL = re.compile(r".*://|\s*[A-Za-z][\w+.-]+:/.*@", re.DOTALL)  # a Path has one slash of two


def sqlite_engine(path: str | os.PathLike[str]) -> AsyncEngine:
    """Return an engine for a file, which is made with mode 0600 where it is not there."""
    name = os.fsdecode(path)
    if _URL.match(name):  # not shown: it may hold a password
        raise ValueError(
            "Outbox.open takes the name of a file; for a URL use Outbox(create_async_engine(…))"
        )
    if name in ("", ":memory:"):
        raise ValueError("an outbox in memory survives nothing: name a file")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise OutboxError(f"the outbox {name} cannot be opened: {error.strerror}") from None
    address = URL.create("sqlite+aiosqlite", database=os.path.abspath(name))
    patience = {"timeout": _BUSY_SECONDS}
    engine = create_async_engine(address, connect_args=patience, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _make_durable)
    return engine


def _make_durable(connection: Any, _: object) -> None:
    """NORMAL would be faster, and lose what was accepted when the power fails."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class Database:
    """An engine, and how the outbox uses it. The dialect is "sqlite" or "postgresql"."""

    def __init__(self, engine: AsyncEngine) -> None:
        if not isinstance(engine, AsyncEngine):
            raise TypeError(
                f"an outbox needs an AsyncEngine (create_async_engine), not {type(engine).__name__}"
            )
        self.engine = engine
        self.dialect = engine.dialect.name
        if self.dialect not in INSERTS:
            raise ValueError(f"an outbox lives in SQLite or PostgreSQL, not in {self.dialect}")
        # SQLite has one writer; waiting here is fair, its own way of waiting sleeps.
        self._one_writer = asyncio.Lock()
        self._writing = self._one_writer if self.dialect == "sqlite" else nullcontext()
        self._is_checked = False

    @without_locals
    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run work in a transaction of its own, once it is known that the schema fits.

        Where others write the same rows at the same time, it is tried several times. An
        OutboxError says that nothing was written, unless its `may_have_completed` is true.
        """
        await self.check()
        return await self._run(work)

    @without_locals
    async def check(self) -> None:
        """Raise an OutboxError where the schema does not fit, or the database is away."""
        if not self._is_checked:
            await self._run(self._check)
            self._is_checked = True

    async def read(self, statement: Any) -> list[Any]:
        """Return the rows of a statement, as mappings."""

        async def work(connection: AsyncConnection) -> list[Any]:
            return list((await connection.execute(statement)).mappings())

        return await self.run(work)

    async def listen(self, on_new: Callable[[], None]) -> None:
        """Call back when PostgreSQL notifies of new rows, until this is cancelled.

        It holds a connection of the engine. On SQLite it returns: there, and while the connection
        is lost, workers look for rows by themselves.
        """
        while listen := _LISTENING.get(self.engine.dialect.driver):
            try:
                await self._listen_once(listen, on_new)
            except Exception as error:
                if not _is_of_the_database(error):
                    raise
            await asyncio.sleep(_AWAY_SECONDS)

    async def pause(self) -> None:
        """Close an SQLite file of our own, and leave it closed until `resume`."""
        await self._one_writer.acquire()
        try:
            await self.engine.dispose()
        except BaseException:
            self._one_writer.release()
            raise

    async def resume(self) -> None:
        """Go on after a `pause`."""
        self._one_writer.release()

    async def _listen_once(self, listen: Any, on_new: Callable[[], None]) -> None:
        connection = self.engine.connect()
        # A driver leaks a connection that is cancelled while it is made: asyncpg 0.30 does.
        connecting = asyncio.ensure_future(connection.start())
        try:
            await asyncio.shield(connecting)
            await listen((await connection.get_raw_connection()).driver_connection, on_new)
        finally:
            await asyncio.shield(_drop(connection, connecting))

    async def create_tables(self) -> None:
        """Make what is missing, and move an older schema on."""
        await self._run(self._create)
        await self.check()

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        tries = 0
        while True:
            is_committing = False
            try:
                async with self._writing, self.engine.begin() as connection:
                    result = await work(connection)
                    is_committing = True
            except Exception as error:
                if not _is_of_the_database(error):
                    raise
                problem, tries = _problem(error), tries + 1
                problem.may_have_completed = is_committing and _is_of_the_network(error)
                if tries == _TRIES or not _is_of_a_race(error):
                    break
            else:
                return result
        # Out here, because the error above holds statements and values.
        raise problem

    async def _check(self, connection: AsyncConnection) -> None:
        has_tables = await connection.run_sync(lambda sync: inspect(sync).has_table(ENTRIES.name))
        if not has_tables:
            raise OutboxError(
                "the outbox has no tables in this database: await outbox.create_tables(), or add "
                "golem_outbox(metadata) to your migrations"
            )
        query = select(KEYS.c.promise_id).where(KEYS.c.key == SCHEMA_KEY)
        version = (await connection.execute(query)).scalar()
        if version is None:  # made by a migration of the user's own
            ours = {"key": SCHEMA_KEY, "promise_id": str(SCHEMA_VERSION), "noted_at": Now()}
            noting = INSERTS[self.dialect](KEYS).values(ours)
            await connection.execute(noting.on_conflict_do_nothing())
        elif int(version) > SCHEMA_VERSION:
            raise OutboxError(
                f"the outbox's tables are of version {version}, and this golem-client knows "
                f"version {SCHEMA_VERSION}: upgrade golem-client"
            )

    async def _create(self, connection: AsyncConnection) -> None:
        if self.dialect == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))
        for table in (ENTRIES, KEYS):
            await connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                await connection.execute(CreateIndex(index, if_not_exists=True))


async def _drop(connection: AsyncConnection, connecting: asyncio.Future[Any]) -> None:
    """Close a connection once it is made, so that nobody else uses one that listens."""
    await asyncio.wait([connecting], timeout=_AWAY_SECONDS)  # not for ever: it may hang
    if not connecting.done():
        connecting.cancel()
        await asyncio.wait([connecting])
    if not connecting.cancelled() and connecting.exception() is None:
        await connection.invalidate()
        await connection.close()


async def _listen_with_asyncpg(raw: Any, on_new: Callable[[], None]) -> None:
    lost = asyncio.Event()
    raw.add_termination_listener(lambda _: lost.set())
    await raw.add_listener(CHANNEL, lambda *_: on_new())
    await lost.wait()


async def _listen_with_psycopg(raw: Any, on_new: Callable[[], None]) -> None:
    await raw.set_autocommit(True)
    await raw.execute(f"LISTEN {CHANNEL}")
    async for _ in raw.notifies():
        on_new()


_LISTENING = {"asyncpg": _listen_with_asyncpg, "psycopg": _listen_with_psycopg}


def _is_of_the_database(error: Exception) -> bool:
    """Whether an engine raised it, or its driver while it connected or listened."""
    driver = type(error).__module__.partition(".")[0]
    return isinstance(error, SQLAlchemyError | OSError) or driver in ("asyncpg", "psycopg")


def _is_of_the_network(error: Exception) -> bool:
    """Whether the connection was lost, so that PostgreSQL may have done what it was told."""
    return isinstance(error, OSError) or bool(getattr(error, "connection_invalidated", False))


def _is_of_a_race(error: Exception) -> bool:
    """Whether another transaction was quicker, or PostgreSQL ended this one of a deadlock.

    With an isolation stricter than READ COMMITTED, it ends those that another one has overtaken.
    """
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(error, IntegrityError) or code in ("40001", "40P01")


def _problem(error: Exception) -> OutboxError:
    """Return what is said of a failed transaction."""
    cause = (error.orig or error) if isinstance(error, DBAPIError) else error
    words = str(cause).partition("\n")[0][:_LONGEST_WORDS]
    if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
        return OutboxError("the outbox's file is not a database: name another file")
    name = type(cause.__cause__ or cause).__name__  # asyncpg's own, where SQLAlchemy has "Error"
    problem = OutboxError(f"the outbox's database cannot be used at the moment: {name}: {words}")
    problem.worth_retrying = True
    return problem
